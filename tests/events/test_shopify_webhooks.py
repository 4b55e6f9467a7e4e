"""Shopify's webhooks: signed, of this shop, each event once, and of no use to whoever repeats or forges one."""

from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from app.errors import WebhookExpired, WebhookForeign, WebhookForged, WebhookMalformed, WebhookUnsigned
from app.settings import WebhookSettings
from app.sources.shopify.options import ShopifyOptions
from app.sources.shopify.webhooks import ShopifyWebhooks

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
SECRET, OLDER = "the client secret of the app", "the one that it had before"
SHOP = "example.myshopify.com"


@pytest.fixture
def webhooks() -> ShopifyWebhooks:
    settings = WebhookSettings.model_validate({"secrets": [OLDER, SECRET]})
    return ShopifyWebhooks("shop", settings, ShopifyOptions(shop=SHOP))


def body(kind: str, at: datetime | None = NOON, **fields: Any) -> bytes:
    """A body as Shopify sends it, with more than the gateway reads. Its times have the shop's own zone."""
    row = {"id": 7, "admin_graphql_api_id": f"gid://shopify/{kind}/7", "email": "buyer@example.com", **fields}
    if at is not None:
        row["updated_at"] = (at - timedelta(hours=5)).strftime("%Y-%m-%dT%H:%M:%S-05:00")
    return msgspec.json.encode(row)


def signed(raw: bytes, secret: str = SECRET, **more: str) -> dict[str, str]:
    signature = base64.b64encode(hmac.digest(secret.encode(), raw, "sha256")).decode()
    given = {"event_id": "e-1", "topic": "orders/updated", "shop_domain": SHOP, "hmac_sha256": signature, **more}
    return {f"x-shopify-{name.replace('_', '-')}": value for name, value in given.items()}


def take(webhooks: ShopifyWebhooks, raw: bytes, headers: dict[str, str], now: datetime = NOON) -> list[Any]:
    """What the gateway does with a request."""
    webhooks.admit(headers, now)
    webhooks.verify(headers, raw, now)
    return list(webhooks.parse(headers, raw, now))


@pytest.mark.parametrize("secret", [SECRET, OLDER])
def test_a_signed_webhook_says_what_to_read_again(webhooks: ShopifyWebhooks, secret: str):
    raw = body("Order", name="#1001")
    (hint,) = take(webhooks, raw, signed(raw, secret))
    assert (hint.source, hint.kind, hint.key, hint.id, hint.raw_code) == (
        "shop", "ORDER", "#1001", "e-1:ORDER:#1001", "orders/updated",
    )  # fmt: skip
    assert (hint.at, hint.received_at) == (NOON, NOON)


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("Order", {"name": "#1001"}, [("ORDER", "#1001")]),
        ("Order", {"name": "EN-1001-A"}, [("ORDER", "EN-1001-A")]),
        ("Fulfillment", {"name": "#1001.2"}, [("ORDER", "#1001")]),
        ("Fulfillment", {"name": "#1001-F2"}, [("ORDER", "#1001")]),
        ("Fulfillment", {"name": "1001"}, []),
        ("Product", {"variants": [{"sku": "A"}, {"sku": "A"}, {"sku": ""}, {}]}, [("ITEM", "A")]),
        ("Product", {"variants": [{"sku": "B"}, {"sku": "A"}]}, [("ITEM", "B"), ("ITEM", "A")]),
        ("InventoryItem", {"sku": "A"}, [("ITEM", "A")]),
        ("Company", {"external_id": "CUST-0001"}, [("CUSTOMER", "CUST-0001")]),
        ("Company", {"external_id": None}, []),
        ("CompanyLocation", {"external_id": "X", "company": {"external_id": "CUST-0001"}}, [("CUSTOMER", "CUST-0001")]),
        ("CompanyLocation", {}, []),
        ("InventoryLevel", {"inventory_item_id": 7}, []),
        ("Customer", {}, []),
        ("Order", {"name": "x" * 300}, []),
    ],
)  # fmt: skip
def test_subjects_of_shopify_webhooks(
    webhooks: ShopifyWebhooks, kind: str, fields: dict[str, Any], expected: list[Any]
):
    raw = body(kind, **fields)
    assert [(one.kind, one.key) for one in take(webhooks, raw, signed(raw))] == expected


def test_a_deleted_row_has_no_key(webhooks: ShopifyWebhooks):
    raw = b'{"id": 788032119674292922}'
    assert take(webhooks, raw, signed(raw)) == []


def test_a_forged_webhook_is_refused(webhooks: ShopifyWebhooks):
    raw = body("Order", name="#1001")
    hexadecimal = hmac.digest(SECRET.encode(), raw, "sha256").hex()
    for headers, sent in (
        (signed(raw, "the client secret of another app"), raw),
        (signed(raw), raw + b" "),
        (signed(raw), body("Order", name="#1002")),
        (signed(raw, hmac_sha256=hexadecimal), raw),
        (signed(raw, hmac_sha256="é"), raw),
    ):
        with pytest.raises(WebhookForged):
            take(webhooks, sent, headers)


@pytest.mark.parametrize("missing", ["x-shopify-hmac-sha256", "x-shopify-shop-domain"])
def test_a_webhook_without_signature_or_shop_is_unsigned(webhooks: ShopifyWebhooks, missing: str):
    raw = body("Order", name="#1001")
    with pytest.raises(WebhookUnsigned):
        take(webhooks, raw, {**signed(raw), missing: ""})


@pytest.mark.parametrize("shop", ["other.myshopify.com", f"{SHOP}.example.com", "x"])
def test_a_webhook_of_another_shop_is_refused_though_its_signature_is_valid(webhooks: ShopifyWebhooks, shop: str):
    raw = body("Order", name="#1001")
    with pytest.raises(WebhookForeign) as caught:
        take(webhooks, raw, signed(raw, shop_domain=shop))
    assert (caught.value.code, caught.value.http_status) == ("WEBHOOK_FOREIGN", 403)
    assert len(take(webhooks, raw, signed(raw, shop_domain=SHOP.upper()))) == 1


def test_a_doubled_webhook_is_one_hint(webhooks: ShopifyWebhooks):
    first, again = body("Order", name="#1001"), body("Order", NOON + timedelta(seconds=3), name="#1001")
    (one,) = take(webhooks, first, signed(first))
    (two,) = take(webhooks, again, signed(again, topic="orders/fulfilled"))
    assert one.id == two.id
    (three,) = take(webhooks, first, signed(first, event_id="e-2"))
    assert three.id != one.id


@pytest.mark.parametrize("id", ["", "x" * 300])
def test_without_an_id_the_same_content_is_the_same_event(webhooks: ShopifyWebhooks, id: str):
    first, other = body("Order", name="#1001"), body("Order", name="#1002")
    hints = [take(webhooks, raw, signed(raw, event_id=id))[0].id for raw in (first, first, other)]
    assert hints[0] == hints[1] != hints[2]
    assert max(map(len, hints)) <= 256


def test_a_late_webhook_is_taken_for_as_long_as_shopify_repeats_it(webhooks: ShopifyWebhooks):
    at = NOON - timedelta(hours=4, seconds=299)
    raw = body("Order", at, name="#1001")
    (hint,) = take(webhooks, raw, signed(raw))
    assert (hint.at, hint.received_at) == (at, NOON)
    old = body("Order", at - timedelta(seconds=2), name="#1001")
    with pytest.raises(WebhookExpired):
        take(webhooks, old, signed(old))


def test_webhooks_out_of_order_are_hints_of_one_row(webhooks: ShopifyWebhooks):
    """Neither says what the row is: what is then read counts."""
    newer, older = body("Order", NOON, name="#1001"), body("Order", NOON - timedelta(hours=1), name="#1001")
    hints = [take(webhooks, raw, signed(raw, event_id=id))[0] for raw, id in ((newer, "e-2"), (older, "e-1"))]
    assert {(one.kind, one.key, one.deleted, one.sequence) for one in hints} == {("ORDER", "#1001", False, None)}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"<html>",
        b'{"admin_graphql_api_id": 7}',
        b'{"updated_at": "2026-11-30T12:00:00"}',
        b'{"admin_graphql_api_id": "gid://shopify/Order/7", "name": 7}',
        b'{"admin_graphql_api_id": "gid://shopify/Product/7", "variants": {"sku": "A"}}',
    ],
)
def test_a_signed_body_of_another_shape_is_malformed(webhooks: ShopifyWebhooks, raw: bytes):
    with pytest.raises(WebhookMalformed) as caught:
        take(webhooks, raw, signed(raw))
    assert "buyer@example.com" not in str(caught.value)

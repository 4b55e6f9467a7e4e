"""WooCommerce's webhooks: signed, of this shop, each state of a row once, and late ones taken all the same."""

from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from app.errors import ConfigurationError, WebhookForeign, WebhookForged, WebhookMalformed, WebhookUnsigned
from app.sources.changes import ChangeHint
from app.sources.webhooks import PingedWebhooks, Webhooks
from tests.contract.woocommerce_case import connect_to
from tests.upstreams.woocommerce import LOCAL, customer, order, product, stamps, variation

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
SECRET, OLDER = "the secret of the webhook", "the one that it had before"
SITE = "https://shop.example.com/"
BUYER = customer(1)
ORDER = order(101, BUYER, [], "2026-11-30T12:00:00")


def webhooks_of(url: str = "https://shop.example.com", **options: Any) -> Webhooks:
    found = connect_to(url, options=options, webhooks={"secrets": [OLDER, SECRET]}).webhooks
    assert found is not None
    return found


@pytest.fixture
def webhooks() -> Webhooks:
    return webhooks_of()


def signed(raw: bytes, secret: str = SECRET, **more: str) -> dict[str, str]:
    signature = base64.b64encode(hmac.digest(secret.encode(), raw, "sha256")).decode()
    given = {"source": SITE, "topic": "order.updated", "resource": "order", "event": "updated", "id": "7"}
    given |= {"delivery_id": "d-1", "signature": signature, **more}
    return {f"x-wc-webhook-{name.replace('_', '-')}": value for name, value in given.items()}


def take(webhooks: Webhooks, raw: bytes, headers: dict[str, str], now: datetime = NOON) -> list[ChangeHint]:
    """What the gateway does with a request."""
    webhooks.admit(headers, now)
    webhooks.verify(headers, raw, now)
    return list(webhooks.parse(headers, raw, now))


def body(row: dict[str, Any]) -> bytes:
    return msgspec.json.encode(row)


@pytest.mark.parametrize("secret", [SECRET, OLDER])
def test_a_signed_webhook_says_what_to_read_again(webhooks: Webhooks, secret: str):
    raw = body(ORDER)
    (hint,) = take(webhooks, raw, signed(raw, secret))
    assert (hint.source, hint.kind, hint.key, hint.raw_code) == ("shop", "ORDER", "101", "order.updated")
    assert (hint.at, hint.received_at) == (NOON, NOON)
    assert ORDER["date_modified"] == (NOON + LOCAL).replace(tzinfo=None).isoformat()


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (ORDER, [("ORDER", "101")]),
        (ORDER | {"number": "SO-7"}, [("ORDER", "SO-7")]),
        (ORDER | {"number": "x" * 300}, []),
        (product(1), [("ITEM", "SKU-0001"), ("STOCK", "SKU-0001")]),
        (variation(21, 20), [("ITEM", "SKU-0021"), ("STOCK", "SKU-0021")]),
        (product(1, sku=""), []),
        (BUYER | stamps("modified", "2026-11-30T12:00:00"), [("CUSTOMER", "1")]),
        ({"action": "woocommerce_add_to_cart", "arg": "abc"}, []),
        ({"code": "woocommerce_rest_cannot_view", "message": "Sorry, you cannot view this resource."}, []),
    ],
    ids=["order", "numbered order", "endless number", "product", "variation", "no sku", "customer", "action", "error"],
)
def test_what_woocommerce_tells(webhooks: Webhooks, row: dict[str, Any], expected: list[Any]):
    raw = body(row)
    assert [(one.kind, one.key) for one in take(webhooks, raw, signed(raw))] == expected


@pytest.mark.parametrize(
    ("number", "key"), [("meta:erp_number", "CUST-0001"), ("username", "company-0001"), ("meta:other", None)]
)
def test_a_customer_is_told_by_its_number(number: str, key: str | None):
    raw = body(BUYER | stamps("modified", "2026-11-30T12:00:00"))
    hints = take(webhooks_of(customer_number=number), raw, signed(raw))
    assert [one.key for one in hints] == ([key] if key else [])


@pytest.mark.parametrize(
    ("resource", "options", "expected"),
    [
        ("order", {}, [("ORDER", "7")]),
        ("customer", {}, [("CUSTOMER", "7")]),
        ("customer", {"customer_number": "username"}, []),
        ("product", {}, []),
        ("", {}, []),
    ],
)
def test_of_a_deleted_row_there_is_only_an_id(resource: str, options: dict[str, Any], expected: list[Any]):
    raw = b'{"id":7}'
    hints = take(webhooks_of(**options), raw, signed(raw, resource=resource))
    assert [(one.kind, one.key) for one in hints] == expected


def test_a_row_that_is_deleted_again_is_told_again(webhooks: Webhooks):
    raw = b'{"id":7}'
    ids = [take(webhooks, raw, signed(raw, delivery_id=id))[0].id for id in ("d-1", "d-1", "d-2")]
    assert ids[0] == ids[1] != ids[2]


def test_a_forged_webhook_is_refused(webhooks: Webhooks):
    raw = body(ORDER)
    hexadecimal = hmac.digest(SECRET.encode(), raw, "sha256").hex()
    for headers, sent in (
        (signed(raw, "the secret of another webhook"), raw),
        (signed(raw), raw + b" "),
        (signed(raw), body(ORDER | {"number": "102"})),
        (signed(raw, signature=hexadecimal), raw),
        (signed(raw, signature="é"), raw),
    ):
        with pytest.raises(WebhookForged):
            take(webhooks, sent, headers)


@pytest.mark.parametrize("missing", ["signature", "source"])
def test_a_webhook_without_signature_or_site_is_unsigned(webhooks: Webhooks, missing: str):
    raw = body(ORDER)
    with pytest.raises(WebhookUnsigned):
        take(webhooks, raw, signed(raw, **{missing: ""}))


@pytest.mark.parametrize(
    "site", ["https://other.example.com/", "https://shop.example.com.evil.test/", "https://shop.example.com/b2b/", "x"]
)
def test_a_webhook_of_another_shop_is_refused_though_its_signature_is_valid(webhooks: Webhooks, site: str):
    raw = body(ORDER)
    with pytest.raises(WebhookForeign):
        take(webhooks, raw, signed(raw, source=site))


@pytest.mark.parametrize(
    ("options", "url", "site"),
    [
        ({}, "https://shop.example.com/b2b", "https://shop.example.com/b2b/"),
        ({}, "https://shop.example.com", "HTTPS://SHOP.example.com"),
        ({"site_url": "https://www.example.com"}, "https://10.0.0.7", "http://www.example.com/"),
    ],
)
def test_the_site_is_that_of_the_address_or_the_configured_one(options: dict[str, Any], url: str, site: str):
    raw = body(ORDER)
    assert len(take(webhooks_of(url, **options), raw, signed(raw, source=site))) == 1


def test_a_doubled_webhook_is_one_hint_whatever_its_unsigned_headers_say(webhooks: Webhooks):
    raw = body(ORDER)
    (one,) = take(webhooks, raw, signed(raw))
    (two,) = take(webhooks, raw, signed(raw, delivery_id="d-2", topic="order.created"))
    assert one.id == two.id


def test_two_rows_of_one_second_have_one_delivery_id_and_are_two_hints(webhooks: Webhooks):
    first, other = body(ORDER), body(ORDER | {"id": 102, "number": "102"})
    again = body(ORDER | {"status": "completed"})
    ids = {take(webhooks, raw, signed(raw))[0].id for raw in (first, other, again)}
    assert len(ids) == 3
    assert max(len(id or "") for id in ids) <= 256


def test_a_late_webhook_is_taken_since_a_refused_one_turns_the_webhook_off(webhooks: Webhooks):
    raw = body(ORDER)
    (hint,) = take(webhooks, raw, signed(raw), NOON + timedelta(days=30))
    assert (hint.at, hint.received_at) == (NOON, NOON + timedelta(days=30))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"<html>",
        b'{"id": "7"}',
        b'{"id": 7, "date_modified_gmt": "yesterday"}',
        b'{"id": 7, "date_modified_gmt": "2026-11-30T12:00:00", "order_key": "wc", "number": 7}',
        b'{"id": 7, "date_modified_gmt": "2026-11-30T12:00:00", "username": "x", "meta_data": {"key": 1}}',
    ],
)
def test_a_signed_body_of_another_shape_is_malformed(webhooks: Webhooks, raw: bytes):
    with pytest.raises(WebhookMalformed):
        take(webhooks, raw, signed(raw))


@pytest.mark.parametrize(
    ("raw", "is_ping"),
    [(b"webhook_id=7", True), (b"webhook_id=", False), (b"webhook_id=7&x=1", False), (b"", False), (b"{}", False)],
)
def test_a_ping_names_its_webhook_and_nothing_else(webhooks: Webhooks, raw: bytes, is_ping: bool):
    assert isinstance(webhooks, PingedWebhooks)
    assert webhooks.is_ping(raw) is is_ping


def test_a_short_secret_stops_the_start():
    with pytest.raises(ConfigurationError) as caught:
        connect_to("https://shop.example.com", webhooks={"secrets": ["short"]})
    assert "'short'" not in str(caught.value)
    assert "webhooks.secrets" in caught.value.key

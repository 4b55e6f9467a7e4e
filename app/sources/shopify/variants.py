"""Variants by SKU: the rows that items, stock and prices are read from.

Shopify lets several variants have one SKU: the one of an active product counts, then the oldest. It also finds SKUs
that only resemble the one it was asked for; these are dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec

from app.sources.shopify.client import ShopifyClient, ShopifyDocument, ShopifyRows, any_of, rows_of, sendable


class ProductStatus(msgspec.Struct, frozen=True):
    """The status of a variant's product."""

    status: str

    @property
    def is_active(self) -> bool:
        return self.status == "ACTIVE"


class Variant(Protocol):
    """What every document selects of a variant."""

    @property
    def id(self) -> str: ...

    @property
    def sku(self) -> str | None: ...

    @property
    def product(self) -> ProductStatus: ...


V = TypeVar("V", bound=Variant)


async def variants_by_sku(
    client: ShopifyClient,
    document: ShopifyDocument[ShopifyRows[V]],
    skus: Iterable[str],
    variables: Mapping[str, object],
    *,
    call: str,
) -> dict[str, V]:
    """The variant of each SKU that Shopify has: one call for each hundred SKUs."""

    async def read(chunk: Sequence[str]) -> list[V]:
        given = {"query": any_of("sku", chunk), "first": rows_of(chunk), **variables}
        return await client.all_rows(document, given, call=call)

    requested = sendable(list(skus))
    found: dict[str, V] = {}
    for variant in await client.read_chunks(requested, read):
        known = found.get(variant.sku) if variant.sku else None
        if variant.sku and (known is None or (variant.product.is_active and not known.product.is_active)):
            found[variant.sku] = variant
    return {sku: found[sku] for sku in requested if sku in found}

"""Content of items: what the shop says and shows about a variant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from urllib.parse import urljoin

import msgspec

from app.auth.principal import Principal
from app.sources.items import Attribute, ItemContent, Media, MediaKind
from app.sources.values import Ref
from app.sources.vendure.client import PAGE, VendureClient, chunks, sendable
from app.sources.vendure.options import VendureOptions

VARIANTS = """query Contents($options: ProductVariantListOptions!) {
  productVariants(options: $options) { items {
    id sku enabled assets { ...Picture }
    options { name group { code } }
    facetValues { ...Value }
    product { id slug description assets { ...Picture } facetValues { ...Value } }
  } }
}
fragment Picture on Asset { name type mimeType source }
fragment Value on FacetValue { name facet { code isPrivate } }"""


class Asset(msgspec.Struct, frozen=True, rename="camel"):
    """A picture or file."""

    name: str
    type: str
    mime_type: str
    source: str


class Facet(msgspec.Struct, frozen=True, rename="camel"):
    """A property that products are filtered by; private ones are for the staff."""

    code: str
    is_private: bool


class FacetValue(msgspec.Struct, frozen=True):
    """A value of such a property."""

    name: str
    facet: Facet


class OptionGroup(msgspec.Struct, frozen=True):
    """What the variants of a product differ in."""

    code: str


class Option(msgspec.Struct, frozen=True):
    """The choice that makes the variant."""

    name: str
    group: OptionGroup


class Product(msgspec.Struct, frozen=True, rename="camel"):
    """What the variants have in common."""

    id: str
    slug: str
    description: str = ""
    assets: tuple[Asset, ...] = ()
    facet_values: tuple[FacetValue, ...] = ()


class CatalogVariant(msgspec.Struct, frozen=True, rename="camel"):
    """A variant; its SKU is the item's."""

    id: str
    sku: str
    enabled: bool
    product: Product
    assets: tuple[Asset, ...] = ()
    options: tuple[Option, ...] = ()
    facet_values: tuple[FacetValue, ...] = ()


class VariantList(msgspec.Struct, frozen=True):
    """A page of variants."""

    items: tuple[CatalogVariant, ...]


class Variants(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to VARIANTS."""

    product_variants: VariantList


class VendureContents:
    """Content from Vendure: one call for each hundred SKUs."""

    def __init__(self, client: VendureClient, options: VendureOptions) -> None:
        self._client = client
        self._assets = options.asset_url or client.base_url + "/assets/"

    async def contents(self, principal: Principal, skus: Sequence[str]) -> Mapping[str, ItemContent]:
        """See `ItemContents.contents`. Vendure lets two variants have one SKU: an enabled one wins, then the oldest."""
        found: dict[str, CatalogVariant] = {}
        for chunk in chunks(sendable(skus)):
            options = {"filter": {"sku": {"in": chunk}}, "sort": {"id": "ASC"}, "take": PAGE}
            answer = await self._client.run(VARIANTS, {"options": options}, into=Variants, call="contents")
            for variant in answer.product_variants.items:
                known = found.get(variant.sku)
                if known is None or (variant.enabled and not known.enabled):
                    found[variant.sku] = variant
        return {sku: self._content(found[sku]) for sku in skus if sku in found}

    def _content(self, variant: CatalogVariant) -> ItemContent:
        return ItemContent(
            sku=variant.sku,
            description=plain_text(variant.product.description) or None,
            attributes=tuple(_attributes(variant)),
            media=tuple(self._media(variant)),
            refs=(Ref(system=self._client.name, id=variant.id),),
        )

    def _media(self, variant: CatalogVariant) -> Iterator[Media]:
        seen: set[str] = set()
        for asset in (*variant.assets, *variant.product.assets):
            if asset.source not in seen:
                seen.add(asset.source)
                yield Media(url=urljoin(self._assets, asset.source), kind=_kind(asset), alt=asset.name or None)


def _kind(asset: Asset) -> MediaKind:
    if asset.type == "IMAGE":
        return MediaKind.IMAGE
    return MediaKind.DATASHEET if asset.mime_type == "application/pdf" else MediaKind.OTHER


def _attributes(variant: CatalogVariant) -> Iterator[Attribute]:
    prefix = variant.product.slug + "-"
    for option in variant.options:
        # Vendure's own dashboard puts the product's slug before the code: "hex-bolt-a-pack".
        yield Attribute(code=option.group.code.removeprefix(prefix), value=option.name)
    seen: set[tuple[str, str]] = set()
    for value in (*variant.facet_values, *variant.product.facet_values):
        pair = (value.facet.code, value.name)
        if not value.facet.is_private and pair not in seen:
            seen.add(pair)
            yield Attribute(code=value.facet.code, value=value.name)


_BREAKS = frozenset({"p", "br", "li", "div", "tr", "h1", "h2", "h3", "h4", "h5", "h6"})
_SILENT = frozenset({"script", "style"})


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in _SILENT
        if tag in _BREAKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._silent = max(0, self._silent - (tag in _SILENT))

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)


def plain_text(html: str) -> str:
    """A description without its markup: Vendure keeps HTML, which no consumer of the graph could trust."""
    parser = _Text()
    parser.feed(html)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.parts).splitlines())
    return "\n".join(line for line in lines if line)

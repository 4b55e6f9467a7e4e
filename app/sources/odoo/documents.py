"""What documents of sales share: the customers of their partners, and the SKUs of their products."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from app.sources.odoo.client import ALL, OdooClient
from app.sources.odoo.customers import PARTNER
from app.sources.odoo.items import PRODUCT
from app.sources.odoo.rows import Link, OdooPartyRow, OrderLineRow, PartnerNumberRow, ProductCodeRow, link_id


async def products_of(client: OdooClient, links: Iterable[Link | None], call: str) -> Mapping[int, str | None]:
    """The SKU of each product; one call."""
    ids = sorted({link[0] for link in links if link is not None})
    if not ids:
        return {}
    rows = await client.search(PRODUCT, ProductCodeRow, [["id", "in", ids]], context=ALL, call=call)
    return {row.id: row.default_code for row in rows}


class Parties:
    """Partners of documents with the partners that they belong to."""

    def __init__(self, rows: Iterable[OdooPartyRow]) -> None:
        self._rows = {row.id: row for row in rows}

    def get(self, link: Link | None) -> OdooPartyRow | None:
        return None if link is None else self._rows.get(link[0])

    def number(self, link: Link | None) -> str | None:
        """The number of the customer that a partner is or belongs to."""
        row = self.get(link)
        return None if row is None else customer_number(row, self._rows)


async def parties_of(client: OdooClient, links: Iterable[Link | None], call: str) -> Parties:
    """The partners of documents; one call."""
    ids = sorted({link[0] for link in links if link is not None})
    if not ids:
        return Parties(())
    # A contact's company is the one above it.
    domain = ["|", ["id", "in", ids], ["child_ids", "in", ids]]
    return Parties(await client.search(PARTNER, OdooPartyRow, domain, context=ALL, call=call))


def customer_number(
    row: PartnerNumberRow | OdooPartyRow, rows: Mapping[int, PartnerNumberRow | OdooPartyRow]
) -> str | None:
    """The reference of a partner's commercial partner."""
    top = link_id(row.commercial_partner_id)
    owner = row if top in (None, row.id) else rows.get(top or 0)
    return None if owner is None else owner.ref


def line_numbers(lines: Collection[OrderLineRow]) -> Mapping[int, int]:
    """The number of each order line by its id: its place among those of its order."""
    places: dict[int, int] = {}
    counts: dict[int, int] = {}
    for line in sorted(lines, key=lambda line: (line.order_id[0], line.sequence, line.id)):
        counts[line.order_id[0]] = counts.get(line.order_id[0], 0) + 1
        places[line.id] = counts[line.order_id[0]]
    return places

"""The descriptors of all ports that serve reads."""

from __future__ import annotations

from collections.abc import Mapping

from app.sources.accounts import ACCOUNTS
from app.sources.billing import BILLING
from app.sources.commissions import COMMISSIONS
from app.sources.contacts import CONTACTS
from app.sources.customers import CREDITS, CUSTOMERS
from app.sources.items import CONTENTS, ITEMS
from app.sources.orders import ORDERS
from app.sources.ports import Port
from app.sources.prices import PRICES
from app.sources.purchases import PURCHASES
from app.sources.quotes import QUOTES
from app.sources.receivables import RECEIVABLES
from app.sources.search import SEARCH
from app.sources.shipments import SHIPMENTS
from app.sources.stock import BALANCES, LEVELS, RESERVATIONS
from app.sources.warehouses import WAREHOUSES

PORTS: Mapping[str, Port] = {
    port.name: port
    for port in (
        CUSTOMERS,
        CREDITS,
        ITEMS,
        CONTENTS,
        WAREHOUSES,
        LEVELS,
        RESERVATIONS,
        BALANCES,
        PRICES,
        ORDERS,
        SHIPMENTS,
        BILLING,
        COMMISSIONS,
        RECEIVABLES,
        CONTACTS,
        PURCHASES,
        QUOTES,
        ACCOUNTS,
        SEARCH,
    )
}
"""The ports that serve reads, by their names in `Source`, `Sources` and `[domains]`."""

"""What customers and documents share: addresses and payment terms."""

from __future__ import annotations

from collections.abc import Sequence

from app.sources.customers import CustomerLocation, LocationKind, PaymentTerms
from app.sources.tryton.reference import CodeRow
from app.sources.tryton.wire import Flag, Row
from app.sources.values import Address


class DeltaRow(Row, kw_only=True):
    """`account.invoice.payment_term.line.delta`: a step from the invoice date to the due date."""

    days: int | None = None
    weeks: int | None = None
    months: int | None = None
    day: int | None = None
    month: int | None = None
    weekday: int | None = None


class TermLineRow(Row, kw_only=True):
    """`account.invoice.payment_term.line`."""

    type: str
    relativedeltas: list[DeltaRow] = []


class TermRow(Row, kw_only=True):
    """`account.invoice.payment_term`."""

    name: str
    lines: list[TermLineRow] = []


class PostalRow(Row, kw_only=True):
    """`party.address`."""

    party_name: str | None = None
    street: str | None = None
    city: str | None = None
    postal_code: str | None = None
    subdivision: CodeRow | None = None
    country: CodeRow | None = None


class PartyAddressRow(PostalRow, kw_only=True):
    """`party.address` with what it is for."""

    active: Flag = True
    invoice: Flag = False
    delivery: Flag = False


def terms(row: TermRow | None) -> PaymentTerms | None:
    """The payment term; net days where it is a single payment after a fixed number of days."""
    return None if row is None else PaymentTerms(code=row.name, name=row.name, net_days=_net_days(row.lines))


def _net_days(lines: Sequence[TermLineRow]) -> int | None:
    if len(lines) != 1 or lines[0].type != "remainder":
        return None
    total = 0
    for delta in lines[0].relativedeltas:
        if delta.months or delta.day or delta.month or delta.weekday is not None:
            return None
        total += (delta.days or 0) + 7 * (delta.weeks or 0)
    return total


def address(row: PostalRow) -> Address:
    """The postal address; the region without the country that Tryton puts before it."""
    country = row.country.code if row.country else None
    region = row.subdivision.code if row.subdivision else None
    if region and country:
        region = region.removeprefix(f"{country}-")
    return Address(
        lines=tuple(line.strip() for line in (row.street or "").splitlines() if line.strip()),
        city=row.city or None,
        region=region,
        postal_code=row.postal_code or None,
        country=country,
    )


def location(row: PartyAddressRow, customer: str) -> CustomerLocation:
    """The address as a customer's location; what is for nothing in particular is for both."""
    kinds = {
        (True, True): LocationKind.BOTH,
        (True, False): LocationKind.BILL_TO,
        (False, True): LocationKind.SHIP_TO,
        (False, False): LocationKind.BOTH,
    }
    return CustomerLocation(
        id=str(row.id),
        kind=kinds[bool(row.invoice), bool(row.delivery)],
        name=row.party_name or customer,
        address=address(row),
    )

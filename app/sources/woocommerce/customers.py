"""Customers: the shop's users, each with a billing and a shipping address. WooCommerce has no companies.

A list of customers can be restricted to ids only. Where the customer's number is another, the shop needs the filter of
docs/woocommerce.md, which finds users by their names or by a meta key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from app.auth.principal import Principal
from app.errors import NotSupported
from app.sources.capabilities import Probe, not_supported
from app.sources.custom_fields import SourceFields
from app.sources.customers import Customer, CustomerLocation, CustomerPart, CustomerQuery, LocationKind
from app.sources.values import Address, Freshness, Page, Party, Ref
from app.sources.woocommerce.client import (
    MOST_QUERY,
    PAGE,
    IgnoredFilter,
    WooCommerceClient,
    WooMeta,
    meta_value,
    offset_of,
    plain,
    portions,
    row_ids,
    sendable,
    text_of,
)
from app.sources.woocommerce.options import WooCommerceOptions

PATH = "/customers"
ANY_ROLE = ("role", "all")
"""Without it only users with the role `customer` are listed."""

USERNAME_FILTER = "tradegraph_usernames"
NUMBER_FILTER = "tradegraph_numbers"
NOBODY = "tradegraph-nobody"
NO_FILTER = "the shop lacks the filter by customer number, see docs/woocommerce.md"


class WooAddress(msgspec.Struct, frozen=True):
    """An address of a customer or an order. Its fields are empty where there is none."""

    first_name: str = ""
    last_name: str = ""
    company: str = ""
    address_1: str = ""
    address_2: str = ""
    city: str = ""
    state: str = ""
    postcode: str = ""
    country: str = ""

    @property
    def name(self) -> str:
        """Whose address it is: the company's, or a person's."""
        return plain(self.company) or " ".join(part for part in (plain(self.first_name), plain(self.last_name)) if part)

    @property
    def address(self) -> Address:
        """The same as a record."""
        return Address(
            lines=tuple(line for line in (plain(self.address_1), plain(self.address_2)) if line),
            city=plain(self.city),
            region=self.state or None,
            postal_code=self.postcode or None,
            country=self.country.upper() or None,
        )

    @property
    def is_empty(self) -> bool:
        """Whether the customer has no such address."""
        return not (self.address_1 or self.city or self.postcode)

    @property
    def party(self) -> Party | None:
        """The same as it is printed on a document; None for an empty one."""
        return Party(name=self.name, address=self.address) if self.name or not self.is_empty else None


class WooUser(msgspec.Struct, frozen=True):
    """What the number of a customer is read from."""

    id: int
    username: str
    meta_data: tuple[WooMeta, ...]


class WooCustomer(WooUser, frozen=True):
    """A customer."""

    email: str
    first_name: str
    last_name: str
    billing: WooAddress
    shipping: WooAddress


U = TypeVar("U", bound=WooUser)


class WooCommerceNumbers:
    """The numbers of customers, and their ids. `probe` says whether the shop has the filter by number."""

    def __init__(self, client: WooCommerceClient, options: WooCommerceOptions) -> None:
        self._client = client
        self._options = options
        self.probe = Probe(found=True) if options.numbers_are_ids else Probe()

    @property
    def _filter(self) -> str:
        return NUMBER_FILTER if self._options.customer_meta_key else USERNAME_FILTER

    async def ping(self) -> None:
        """Find out whether the shop has the filter by number: with it, a number that nobody has finds nobody."""
        if not self._options.numbers_are_ids:
            params = [(self._filter, NOBODY), ANY_ROLE, ("per_page", "1")]
            self.probe.found = (await self._client.page(PATH, WooUser, params, call="ping")).total == 0

    def number_of(self, row: WooUser) -> str | None:
        """The number of a customer; None without one."""
        if self._options.numbers_are_ids:
            return str(row.id)
        key = self._options.customer_meta_key
        return text_of(meta_value(row.meta_data, key)) if key else row.username or None

    async def customers(self, numbers: Sequence[str], *, call: str) -> dict[str, WooCustomer]:
        """The customers of these numbers; of several users with one number the oldest. Raises NotSupported."""
        return await self._by_number(numbers, WooCustomer, call)

    async def ids(self, numbers: Sequence[str], *, call: str) -> dict[str, str]:
        """The ids of customers by number. Numbers that are ids are not looked up. Raises NotSupported."""
        if self._options.numbers_are_ids:
            return {number: number for number in row_ids(numbers)}
        return {number: str(row.id) for number, row in (await self._by_number(numbers, WooUser, call)).items()}

    async def numbers(self, ids: Collection[int], *, call: str) -> dict[int, str]:
        """The numbers of customers by id; a guest has the id 0, and no number."""
        own = sorted({id for id in ids if id > 0})
        if self._options.numbers_are_ids:
            return {id: str(id) for id in own}
        rows = await self.by_id([str(id) for id in own], WooUser, call=call)
        return {row.id: number for row in rows if (number := self.number_of(row))}

    async def by_id(self, ids: Sequence[str], row: type[U], *, call: str) -> list[U]:
        """Users by id."""
        return await self._client.by_keys(
            PATH, row, "include", row_ids(ids), lambda one: str(one.id), more=[ANY_ROLE], call=call
        )

    async def _by_number(self, numbers: Sequence[str], row: type[U], call: str) -> dict[str, U]:
        if self._options.numbers_are_ids:
            name, keys = "include", row_ids(numbers)
        else:
            name, keys = self._filter, sendable(numbers)
        try:
            rows = await self._client.by_keys(
                PATH, row, name, keys, lambda one: self.number_of(one) or "", more=[ANY_ROLE], call=call
            )
        except IgnoredFilter as error:
            if name == "include":
                raise
            self.probe.found = False
            raise not_supported(self._client.name, call, NO_FILTER) from error
        return {self.number_of(one) or "": one for one in reversed(rows)}


class WooCommerceCustomers:
    """Customers, a hundred in a call."""

    def __init__(
        self,
        client: WooCommerceClient,
        options: WooCommerceOptions,
        clock: Callable[[], datetime],
        fields: SourceFields,
        numbers: WooCommerceNumbers,
    ) -> None:
        self._client = client
        self._options = options
        self._clock = clock
        self._fields = fields
        self._numbers = numbers

    async def by_number(
        self, principal: Principal, numbers: Sequence[str], parts: Collection[CustomerPart] = ()
    ) -> Mapping[str, Customer]:
        found = await self._numbers.customers(numbers, call="customers.by_number")
        return {number: self._customer(found[number], number) for number in dict.fromkeys(numbers) if number in found}

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Customer]:
        rows = await self._numbers.by_id(ids, WooCustomer, call="customers.by_id")
        return {str(row.id): self._customer(row, number) for row in rows if (number := self._numbers.number_of(row))}

    async def search(self, principal: Principal, query: CustomerQuery) -> Page[Customer]:
        """See `Customers.search`; of numbers that are ids, in their order. WordPress searches login, e-mail address and
        display name. A cursor is the number of customers before it."""
        start, first = offset_of(query.page.after), query.page.first
        numbers = None if query.numbers is None else row_ids(query.numbers)
        text = (query.search or "").strip()
        if numbers == [] or (text and not text.isprintable()):
            return Page(has_previous=start > 0, total=0 if query.page.count else None)
        if len(list(portions(numbers or (), most=MOST_QUERY))) > 1:
            raise NotSupported("WooCommerce does not restrict a list to so many customers at once.")
        window = [("per_page", str(min(max(first, 1), PAGE))), ("offset", str(start))]
        params = [ANY_ROLE, ("orderby", "id"), ("order", "asc"), *window]
        params += [("search", text)] if text else []
        params += [("include", ",".join(numbers))] if numbers else []
        page = await self._client.page(PATH, WooCustomer, params, call="customers.search")
        rows = page.rows[:first]
        return Page(
            rows=tuple(self._customer(row, str(row.id)) for row in rows),
            cursors=tuple(str(start + at) for at in range(1, len(rows) + 1)),
            has_next=start + len(rows) < page.total,
            has_previous=start > 0,
            total=page.total if query.page.count else None,
        )

    def _customer(self, row: WooCustomer, number: str) -> Customer:
        person = " ".join(part for part in (plain(row.first_name), plain(row.last_name)) if part)
        return Customer(
            number=number,
            name=plain(row.billing.company) or person or row.username,
            currency=self._options.currency,
            bill_to=None if row.billing.is_empty else _location(row, "billing"),
            ship_tos=tuple(_location(row, kind) for kind in ("shipping", "billing") if not getattr(row, kind).is_empty)[
                :1
            ],
            refs=(Ref(system=self._client.name, id=str(row.id)),),
            freshness=Freshness(source=self._client.name, as_of=self._clock()),
            custom=self._fields.read("Customer", lambda key: meta_value(row.meta_data, key)),
        )


def location_id(row: WooCustomer, kind: str) -> str:
    """The id of one of a customer's two addresses."""
    return f"{row.id}-{kind}"


def _location(row: WooCustomer, kind: str) -> CustomerLocation:
    """An address as a location. Without a shipping address, goods go to the billing address."""
    address: WooAddress = getattr(row, kind)
    if kind == "shipping":
        what = LocationKind.SHIP_TO
    else:
        what = LocationKind.BOTH if row.shipping.is_empty else LocationKind.BILL_TO
    return CustomerLocation(id=location_id(row, kind), kind=what, name=address.name, address=address.address)

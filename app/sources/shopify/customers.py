"""Customers: companies, with their locations as ship-tos.

The number of a customer is the company's external id; companies without one are not served. Shopify knows no credit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol, TypeVar

import msgspec

from app.auth.principal import Principal
from app.errors import NotSupported
from app.sources.custom_fields import SourceFields
from app.sources.customers import (
    Customer,
    CustomerLocation,
    CustomerPart,
    CustomerQuery,
    CustomerStatus,
    LocationKind,
    PaymentTerms,
    PriceAgreement,
    TaxProfile,
)
from app.sources.shopify.client import (
    ShopifyClient,
    ShopifyConnection,
    ShopifyDocument,
    ShopifyEdgeRows,
    ShopifyNodes,
    ShopifyRows,
    any_of,
    gids,
    local_id,
    quoted,
    rows_of,
    sendable,
)
from app.sources.shopify.cursors import shopify_cursor, tradegraph_cursor
from app.sources.shopify.metafields import METAFIELDS, Metafields, custom_values, field_variables
from app.sources.shopify.options import ShopifyOptions
from app.sources.values import Address, Freshness, Page, Ref

LISTED_NUMBERS = 100
"""The most customer numbers that a search can be restricted to."""


class CompanyAddress(msgspec.Struct, frozen=True, rename="camel"):
    """An address of a location."""

    company_name: str | None = None
    recipient: str | None = None
    address1: str | None = None
    address2: str | None = None
    city: str | None = None
    zone_code: str | None = None
    zip: str | None = None
    country_code: str | None = None


class PaymentTermsTemplate(msgspec.Struct, frozen=True, rename="camel"):
    """The terms that a location buys on."""

    name: str
    due_in_days: int | None = None


class BuyerExperience(msgspec.Struct, frozen=True, rename="camel"):
    """How a location checks out."""

    payment_terms_template: PaymentTermsTemplate | None = None


class TaxSettings(msgspec.Struct, frozen=True, rename="camel"):
    """How a location is taxed."""

    tax_exempt: bool
    tax_exemptions: tuple[str, ...] = ()
    tax_registration_id: str | None = None


class WireLocation(msgspec.Struct, frozen=True, rename="camel"):
    """A location of a company."""

    id: str
    name: str
    currency: str
    external_id: str | None = None
    billing_address: CompanyAddress | None = None
    shipping_address: CompanyAddress | None = None
    tax_settings: TaxSettings | None = None
    buyer_experience_configuration: BuyerExperience | None = None


class CompanySpending(msgspec.Struct, frozen=True, rename="camel"):
    """What a company has spent: it is in the shop's currency."""

    currency_code: str


class WireCompany(msgspec.Struct, frozen=True, rename="camel"):
    """A company."""

    id: str
    name: str
    locations: ShopifyConnection[WireLocation]
    total_spent: CompanySpending
    external_id: str | None = None
    metafields: Metafields | None = None


LOCATION_PARTS = """fragment LocationParts on CompanyLocation {
  id name currency externalId
  billingAddress { ...CompanyAddressParts } shippingAddress { ...CompanyAddressParts }
  taxSettings { taxExempt taxExemptions taxRegistrationId }
  buyerExperienceConfiguration { paymentTermsTemplate { name dueInDays } }
}
fragment CompanyAddressParts on CompanyAddress {
  companyName recipient address1 address2 city zoneCode zip countryCode
}"""

COMPANY_PARTS = f"""fragment CompanyParts on Company {{
  id name externalId totalSpent {{ currencyCode }}
  locations(first: 25) {{ nodes {{ ...LocationParts }} pageInfo {{ hasNextPage endCursor }} }}
  {METAFIELDS}
}}
{LOCATION_PARTS}"""

COMPANIES = ShopifyDocument(
    f"""query Companies($query: String!, $first: Int!, $after: String, $fields: [String!], $own: Boolean!) {{
  rows: companies(first: $first, after: $after, query: $query, sortKey: ID) {{
    nodes {{ ...CompanyParts }} pageInfo {{ hasNextPage endCursor }}
  }}
}}
{COMPANY_PARTS}""",
    ShopifyRows[WireCompany],
)
COMPANIES_BY_ID = ShopifyDocument(
    f"""query CompaniesById($ids: [ID!]!, $fields: [String!], $own: Boolean!) {{
  nodes(ids: $ids) {{ ...CompanyParts }}
}}
{COMPANY_PARTS}""",
    ShopifyNodes[WireCompany],
)
COMPANY_LIST = ShopifyDocument(
    f"""query CompanyList($query: String!, $first: Int!, $after: String, $fields: [String!], $own: Boolean!) {{
  rows: companies(first: $first, after: $after, query: $query, sortKey: ID) {{
    edges {{ cursor node {{ ...CompanyParts }} }} pageInfo {{ hasNextPage endCursor }}
  }}
}}
{COMPANY_PARTS}""",
    ShopifyEdgeRows[WireCompany],
)
LOCATIONS = ShopifyDocument(
    f"""query CompanyLocations($query: String!, $after: String) {{
  rows: companyLocations(first: 250, after: $after, query: $query, sortKey: ID) {{
    nodes {{ ...LocationParts }} pageInfo {{ hasNextPage endCursor }}
  }}
}}
{LOCATION_PARTS}""",
    ShopifyRows[WireLocation],
)


class ShopifyCustomers:
    """Companies as customers."""

    def __init__(
        self, client: ShopifyClient, options: ShopifyOptions, clock: Callable[[], datetime], fields: SourceFields
    ) -> None:
        self._client = client
        self._options = options
        self._clock = clock
        self._fields = fields
        self._own = field_variables(fields, "Customer")

    async def by_number(
        self, principal: Principal, numbers: Sequence[str], parts: Collection[CustomerPart] = ()
    ) -> Mapping[str, Customer]:
        async def read(chunk: Sequence[str]) -> list[WireCompany]:
            variables = {"query": any_of("external_id", chunk), "first": rows_of(chunk), **self._own}
            return await self._client.all_rows(COMPANIES, variables, call="customers.by_number")

        companies = await self._client.read_chunks(sendable(numbers), read)
        found = {company.external_id: company for company in companies}
        return {number: await self._customer(found[number]) for number in dict.fromkeys(numbers) if number in found}

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Customer]:
        async def read(chunk: Sequence[str]) -> list[WireCompany]:
            variables = {"ids": list(chunk), **self._own}
            answer = await self._client.read(COMPANIES_BY_ID, variables, call="customers.by_id")
            return [company for company in answer.nodes if company is not None]

        companies = await self._client.read_chunks(gids("Company", ids), read)
        return {local_id(company.id): await self._customer(company) for company in companies if company.external_id}

    async def search(self, principal: Principal, query: CustomerQuery) -> Page[Customer]:
        """See `Customers.search`. The list is ordered by Shopify's id: it has no order by external id."""
        after = shopify_cursor(query.page.after)
        if query.numbers is not None and not sendable(query.numbers):
            return Page(has_previous=after is not None)
        variables = {"query": _search(query), "first": query.page.first, "after": after, **self._own}
        page = (await self._client.read(COMPANY_LIST, variables, call="customers.search")).rows
        shown = [edge for edge in page.edges if edge.node.external_id]
        return Page(
            rows=tuple([await self._customer(edge.node) for edge in shown]),
            cursors=tuple(tradegraph_cursor(edge.cursor) for edge in shown),
            has_next=page.page_info.has_next_page,
            has_previous=after is not None,
        )

    async def _customer(self, company: WireCompany) -> Customer:
        locations = company.locations.nodes
        if company.locations.page_info.has_next_page:
            variables = {"query": f"company_id:{local_id(company.id)}"}
            locations = tuple(await self._client.all_rows(LOCATIONS, variables, call="customers.locations"))
        return self._record(company, locations)

    def _record(self, company: WireCompany, locations: Sequence[WireLocation]) -> Customer:
        main = price_location(company.external_id, locations, self._options.price_location)
        terms = main.buyer_experience_configuration if main else None
        return Customer(
            number=company.external_id or "",
            name=company.name,
            status=CustomerStatus.ACTIVE if locations else CustomerStatus.INACTIVE,
            currency=main.currency if main else company.total_spent.currency_code,
            payment_terms=_payment_terms(terms.payment_terms_template) if terms else None,
            tax_profile=_tax_profile(main.tax_settings) if main else None,
            bill_to=_location(main, main.billing_address, LocationKind.BILL_TO) if main else None,
            ship_tos=tuple(_location(one, one.shipping_address, LocationKind.SHIP_TO) for one in locations),
            refs=(Ref(system=self._client.name, id=local_id(company.id)),),
            agreement=PriceAgreement(id=main.id, name=main.name) if main else None,
            freshness=Freshness(source=self._client.name, as_of=self._clock()),
            custom=custom_values(self._fields, "Customer", company.metafields),
        )


class ExternalLocation(Protocol):
    """A location with its external id."""

    @property
    def external_id(self) -> str | None: ...


L = TypeVar("L", bound=ExternalLocation)


def price_location(number: str | None, locations: Sequence[L], rule: Literal["main", "first"]) -> L | None:
    """The location whose prices and terms are the company's; None where several could be."""
    named = [one for one in locations if number and one.external_id == number]
    if named or len(locations) == 1 or rule == "first":
        return next(iter(named or locations), None)
    return None


def _search(query: CustomerQuery) -> str:
    terms = ["external_id:*"]
    if query.numbers is not None:
        if len(query.numbers) > LISTED_NUMBERS:
            raise NotSupported(f"Shopify cannot restrict a list to more than {LISTED_NUMBERS} customers.")
        terms.append(f"({any_of('external_id', sendable(query.numbers))})")
    if query.search:
        terms.append(quoted(query.search))
    return " AND ".join(terms)


def _payment_terms(template: PaymentTermsTemplate | None) -> PaymentTerms | None:
    if template is None:
        return None
    return PaymentTerms(code=template.name, name=template.name, net_days=template.due_in_days)


def _tax_profile(settings: TaxSettings | None) -> TaxProfile | None:
    if settings is None:
        return None
    return TaxProfile(
        liable=not settings.tax_exempt,
        registration_number=settings.tax_registration_id or None,
        exemptions=settings.tax_exemptions,
    )


def _location(location: WireLocation, address: CompanyAddress | None, kind: LocationKind) -> CustomerLocation:
    found = address or CompanyAddress()
    return CustomerLocation(
        id=local_id(location.id),
        kind=kind,
        name=location.name,
        address=Address(
            lines=tuple(line for line in (found.address1, found.address2) if line),
            city=found.city or None,
            region=found.zone_code or None,
            postal_code=found.zip or None,
            country=found.country_code or None,
        ),
    )

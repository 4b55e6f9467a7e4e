"""The reads of the `rest` contract over the sandbox's data: a request body in, the answer's bytes out."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from app.sandbox.build import pair
from app.sandbox.commissions import selects
from app.sandbox.lists import LISTS, equals
from app.sandbox.quotes import quote
from app.sandbox.receivables import statement
from app.sandbox.search import categories, facets, matching_items
from app.sandbox.store import SandboxStore
from app.sources.customers import CustomerPart
from app.sources.rest import account_operations, contract, list_operations, quote_operations, return_operations
from app.sources.search import CustomerSearchQuery, ItemSearchQuery, SearchPage

Read = Callable[[SandboxStore, Any], bytes]

_encode = msgspec.json.Encoder().encode


class BadCursor(ValueError):
    """A cursor that this list did not make."""


class BadRequest(ValueError):
    """A request that is typed right and still says nothing sensible."""


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def with_fields(body: bytes, **fields: str) -> bytes:
    """A JSON object with text fields put first."""
    head = ",".join(f'"{name}":"{value}"' for name, value in fields.items())
    return b"{%s,%s" % (head.encode(), body[1:])


def found(pairs: Iterable[tuple[object, bytes]]) -> bytes:
    return b"[%s]" % b",".join(b'{"key":%s,"value":%s}' % (_encode(key), value) for key, value in pairs)


def _only(**lists: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    sent = [(name, keys) for name, keys in lists.items() if keys]
    if len(sent) > 1:
        raise BadRequest(f"send one of {', '.join(lists)}")
    return sent[0] if sent else next(iter(lists.items()))


def _as_of(rows: Mapping[str, bytes]) -> Iterable[tuple[str, bytes]]:
    moment = now()
    return ((key, with_fields(body, asOf=moment)) for key, body in rows.items())


def _lists(rows: Mapping[str, list[bytes]]) -> Iterable[tuple[str, bytes]]:
    moment = now()
    return (
        (key, b"[%s]" % b",".join(with_fields(body, asOf=moment) for body in bodies)) for key, bodies in rows.items()
    )


def customers(store: SandboxStore, request: contract.CustomersRead) -> bytes:
    """Customers by number or id, with credit if asked."""
    name, keys = _only(number=request.numbers, id=request.ids)
    rows = store.one(f"customers.{name}", keys)
    if CustomerPart.CREDIT not in request.include:
        return found(rows.items())
    numbers = {key: msgspec.json.decode(body)["number"] for key, body in rows.items()}
    credits = store.one("credit", numbers.values())
    return found(
        (key, b'{"credit":%s,%s' % (with_fields(credits[numbers[key]], checkedAt=now()), body[1:]))
        for key, body in rows.items()
    )


def credit(store: SandboxStore, request: contract.ByCustomer) -> bytes:
    moment = now()
    rows = store.one("credit", request.customers)
    return found((key, with_fields(body, checkedAt=moment)) for key, body in rows.items())


def customer_search(store: SandboxStore, request: Any) -> bytes:
    return _search(store, "customers", request.page, words=request.search, keys=request.numbers, tag=None)


def item_search(store: SandboxStore, request: Any) -> bytes:
    return _search(store, "items", request.page, words=request.search, keys=None, tag=request.category)


def _search(store: SandboxStore, kind: str, page: Any, **conditions: Any) -> bytes:
    after = None if page.after is None else _opened(page.after, kind)[0]
    rows = store.search(kind, **conditions, after=after, limit=_size(page) + 1)
    total = store.count(kind, **conditions) if page.count else None
    cursors = [_sealed(kind, key) for key, _ in rows]
    return _window([body for _, body in rows], cursors, page, total)


def _size(page: Any) -> int:
    if not 0 <= page.first <= 1000:
        raise BadRequest("first must be from 0 to 1000")
    return page.first


def _window(bodies: list[bytes], cursors: list[str], page: Any, total: int | None) -> bytes:
    size = page.first
    return b'{"rows":[%s],"cursors":%s,"hasNext":%s,"hasPrevious":%s,"total":%s}' % (
        b",".join(bodies[:size]),
        _encode(cursors[:size]),
        _encode(len(bodies) > size),
        _encode(page.after is not None),
        _encode(total),
    )


def _sealed(kind: str, *keys: object) -> str:
    return base64.urlsafe_b64encode(_encode([kind, *keys])).rstrip(b"=").decode()


def _opened(cursor: str, kind: str, *types: type) -> list[Any]:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        name, *keys = msgspec.json.decode(raw, type=list[str | int])
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise BadCursor from None
    if name != kind or [type(key) for key in keys] != list(types or (str,)):
        raise BadCursor
    return keys


def items(store: SandboxStore, request: contract.ItemsRead) -> bytes:
    name, keys = _only(sku=request.skus, gtin=request.gtins, id=request.ids)
    return found(store.one(f"items.{name}", keys).items())


def part_skus(store: SandboxStore, request: contract.PartsRead) -> bytes:
    rows = store.one("parts.number", [pair(key.customer, key.number) for key in request.numbers])
    by_pair = {pair(key.customer, key.number): key for key in request.numbers}
    return found((by_pair[key], _encode(msgspec.json.decode(body)["sku"])) for key, body in rows.items())


def part_numbers(store: SandboxStore, request: contract.PartsRead) -> bytes:
    rows = store.one("parts.sku", [pair(key.customer, key.sku) for key in request.items])
    by_pair = {pair(key.customer, key.sku): key for key in request.items}
    return found((by_pair[key], _encode(msgspec.json.decode(body)["number"])) for key, body in rows.items())


def by_sku(kind: str) -> Read:
    """Documents that do not change by the minute, by SKU."""
    return lambda store, request: found(store.one(kind, request.skus).items())


def costs(store: SandboxStore, request: contract.BySku) -> bytes:
    return found(_as_of(store.one("costs", request.skus)))


def warehouses(store: SandboxStore, _: None) -> bytes:
    return b"[%s]" % b",".join(store.all("warehouses"))


def stock(store: SandboxStore, request: contract.BySku) -> bytes:
    """Levels by SKU; supply that is overdue since the build day is expected today."""
    rows = store.one("stock", request.skus)
    if store.today > store.day:
        rows = {key: _not_before(body, store.today) for key, body in rows.items()}
    return found(_as_of(rows))


def _not_before(body: bytes, today: date) -> bytes:
    level = msgspec.json.decode(body)
    first = today.isoformat()
    for position in level["positions"]:
        for change in position["supply"]:
            change["date"] = max(change["date"], first)
    return _encode(level)


def balances(store: SandboxStore, request: contract.BalancesRead) -> bytes:
    """What the third party holds, by warehouse and SKU."""
    moment = now()
    rows = store.one("balances", [pair(code, sku) for code in request.warehouses for sku in request.skus])
    return b"[%s]" % b",".join(with_fields(body, asOf=moment) for body in rows.values())


def prices(store: SandboxStore, request: contract.PricesRead) -> bytes:
    return found((ordinal, _encode(price)) for ordinal, price in quote(store, request.requests, now()))


def orders(store: SandboxStore, request: contract.OrdersRead) -> bytes:
    name, keys = _only(number=request.numbers, id=request.ids)
    return found(_as_of(store.one(f"orders.{name}", keys)))


def orders_by_po(store: SandboxStore, request: contract.OrdersRead) -> bytes:
    """Orders by purchase order number, the newest of each."""
    by_pair = {pair(key.customer, key.number): key for key in request.purchase_orders}
    return found((by_pair[key], body) for key, body in _as_of(store.one("orders.po", by_pair)))


def pages(kind: str) -> Read:
    """A page of a list for each customer."""

    def read(store: SandboxStore, request: Any) -> bytes:
        found_pages = ((one, _listed(store, kind, request.query, one)) for one in dict.fromkeys(request.customers))
        return found((customer, page) for customer, page in found_pages if page is not None)

    return read


def search(kind: str) -> Read:
    """A page of a list over all customers, or over those that its query names."""
    return lambda store, query: _listed(store, kind, query) or _window([], [], query.page, 0)


def _listed(store: SandboxStore, kind: str, query: Any, customer: str | None = None) -> bytes | None:
    """A page of a list, of one customer if it is named; None if there is nothing."""
    page, size = query.page, _size(query.page)
    table = LISTS[kind]
    conditions = [*table.conditions(query, store.today), *equals("customer", customer)]
    cursor = f"{kind}.{query.sort.value}"
    after = None
    if page.after is not None:
        value, n = _opened(page.after, cursor, str, int)
        after = value, n
    rows = store.listed(kind, conditions, table.sort(query.sort.value), after, size + 1)
    total = store.list_count(kind, conditions) if page.count else None
    if not rows and not total:
        return None
    moment = now()
    bodies = [with_fields(body, asOf=moment) for *_, body in rows]
    return _window(bodies, [_sealed(cursor, value, n) for value, n, _ in rows], page, total)


def shipments(store: SandboxStore, request: contract.ShipmentsRead) -> bytes:
    name, keys = _only(id=request.ids, tracking=request.tracking_numbers)
    return found(_as_of(store.one(f"shipments.{name}", keys)))


def quotes(store: SandboxStore, request: quote_operations.QuotesRead) -> bytes:
    name, keys = _only(number=request.numbers, id=request.ids)
    return found(_as_of(store.one(f"quotes.{name}", keys)))


def by_order(kind: str) -> Read:
    return lambda store, request: found(_lists(store.many(kind, request.orders)))


def by_number(kind: str) -> Read:
    return lambda store, request: found(_as_of(store.one(kind, request.numbers)))


def returns_by_id(store: SandboxStore, request: return_operations.ReturnsRead) -> bytes:
    return found(_as_of(store.one("returns.id", request.ids)))


def returns_by_number(store: SandboxStore, request: return_operations.ReturnNumbersRead) -> bytes:
    return found(_as_of(store.one("returns.number", request.numbers)))


def invoices_by_id(store: SandboxStore, request: contract.ByInvoice) -> bytes:
    return found(_as_of(store.one("invoices.id", request.ids)))


def accounts(store: SandboxStore, request: account_operations.AccountsRead) -> bytes:
    return found(_as_of(store.one("accounts", request.salespeople)))


def sub_agents(store: SandboxStore, request: contract.ByNumber) -> bytes:
    return found(_lists(store.many("agents.parent", request.numbers)))


def statements_by_agent(store: SandboxStore, request: contract.StatementsSearch) -> bytes:
    """The newest statements of agents that a query selects."""
    query = request.query
    if not 0 <= query.first <= 1000:
        raise BadRequest("first must be from 0 to 1000")
    stored = store.many("statements.agent", request.agents)
    return found(_lists({
        agent: [body for body in bodies if selects(query, msgspec.json.decode(body))][: query.first]
        for agent, bodies in stored.items()
    }))  # fmt: skip


def receivables(store: SandboxStore, request: account_operations.ByCustomer) -> bytes:
    return found(_as_of(store.one("receivables", request.customers)))


def contacts(store: SandboxStore, request: account_operations.ByCustomer) -> bytes:
    return found(_lists(store.many("contacts", request.customers)))


def open_items(store: SandboxStore, request: account_operations.OpenItemsSearch) -> bytes:
    """A page of the open items of each customer."""
    tags = ["OVERDUE"] if request.query.overdue else []
    return _pages(store, "open_items", request.customers, request.query.page, tags)


def account_statements(store: SandboxStore, request: account_operations.AccountStatementsRead) -> bytes:
    period = request.period
    if period.since > period.until:
        raise BadRequest("since must not be after until")
    rows = store.one("ledger", request.customers)
    return found(_as_of({
        customer: _encode(statement(customer, msgspec.json.decode(body), period.since, period.until))
        for customer, body in rows.items()
    }))  # fmt: skip


def purchase_history(store: SandboxStore, request: account_operations.PurchaseHistoryRead) -> bytes:
    by_pair = {pair(key.customer, key.sku): key for key in request.items}
    return found((by_pair[key], body) for key, body in _as_of(store.one("purchases", by_pair)))


def order_guides(store: SandboxStore, request: account_operations.OrderGuidesSearch) -> bytes:
    """A page of the order guide of each customer."""
    return _pages(store, "guide", request.customers, request.query.page, ())


def _pages(store: SandboxStore, kind: str, customers: Iterable[str], page: Any, tags: Sequence[str]) -> bytes:
    """A page of the rows of each customer, in their order."""
    size, moment, name = _size(page), now(), f"{kind}.{'.'.join(tags)}"
    after = None if page.after is None else _opened(page.after, name, int, int)
    answers: list[tuple[str, bytes]] = []
    for customer in store.one("customers.number", customers):
        rows = store.page(kind, customer, tags=tags, descending=False,
                          after=None if after is None else (after[0], after[1]), limit=size + 1)  # fmt: skip
        total = store.page_count(kind, customer, tags=tags) if page.count else None
        bodies = [with_fields(body, asOf=moment) for *_, body in rows]
        answers.append((customer, _window(bodies, [_sealed(name, at, n) for at, n, _ in rows], page, total)))
    return found(answers)


def changes(store: SandboxStore, request: contract.ChangesRead) -> bytes:
    if not 1 <= request.limit <= 1000:
        raise BadRequest("limit must be from 1 to 1000")
    if request.since is None:
        return b'{"changes":[],"cursor":%s,"more":false}' % _encode(_cursor(store, store.last_change()))
    since = _parse_cursor(store, request.since)
    rows = store.changes([kind.value for kind in request.kinds], since, request.limit + 1)
    page_rows = rows[: request.limit]
    more = len(rows) > len(page_rows)
    last = page_rows[-1][0] if more else max(since, store.last_change())
    return b'{"changes":[%s],"cursor":%s,"more":%s}' % (
        b",".join(change_json(store, sequence, body) for sequence, body in page_rows),
        _encode(_cursor(store, last)),
        _encode(more),
    )


def change_json(store: SandboxStore, sequence: int, body: bytes) -> bytes:
    """A change as the feed and webhooks tell it."""
    return b'{"id":"%s-%d","sequence":%d,%s' % (store.run.encode(), sequence, sequence, body[1:])


def change_cursor(sequence: int) -> str:
    """The feed's cursor after a change that is in the file; 0 is before all."""
    return _sealed("changes", sequence)


def _cursor(store: SandboxStore, sequence: int) -> str:
    """What happens while the sandbox runs is forgotten with its end, and so are the cursors to it."""
    if sequence <= store.last_stored_change():
        return change_cursor(sequence)
    return _sealed("changes", sequence, store.run)


def _parse_cursor(store: SandboxStore, cursor: str) -> int:
    try:
        (sequence,) = _opened(cursor, "changes", int)
    except BadCursor:
        sequence, run = _opened(cursor, "changes", int, str)
        if run != store.run:
            raise
    return sequence


def search_items(store: SandboxStore, request: ItemSearchQuery) -> bytes:
    """A page of SKUs with its counts."""
    rows = matching_items(store, request)
    start = 0 if request.page.after is None else _opened(request.page.after, "search", int)[0]
    page = rows[start : start + _size(request.page)]
    return _encode(
        SearchPage(
            rows=tuple(row["sku"] for row in page),
            cursors=tuple(_sealed("search", start + ordinal) for ordinal in range(1, len(page) + 1)),
            has_next=len(rows) > start + len(page),
            has_previous=request.page.after is not None,
            total=len(rows) if request.page.count else None,
            facets=tuple(facets(rows, request.facets)),
            categories=tuple(categories(rows)) if request.categories else (),
        )
    )


def search_customers(store: SandboxStore, request: CustomerSearchQuery) -> bytes:
    """A page of customer numbers."""
    page = msgspec.json.decode(customer_search(store, request))
    return _encode(page | {"rows": [row["number"] for row in page["rows"]]})


READS: dict[str, Read] = {
    contract.CUSTOMERS.path: customers,
    contract.CUSTOMER_SEARCH.path: customer_search,
    contract.CREDIT.path: credit,
    contract.ITEMS.path: items,
    contract.ITEM_SEARCH.path: item_search,
    contract.PART_SKUS.path: part_skus,
    contract.PART_NUMBERS.path: part_numbers,
    contract.RELATIONS.path: by_sku("relations"),
    contract.COSTS.path: costs,
    contract.CONTENTS.path: by_sku("contents"),
    contract.WAREHOUSES.path: warehouses,
    contract.STOCK.path: stock,
    contract.RESERVATIONS.path: by_sku("reservations"),
    contract.BALANCES.path: balances,
    contract.PRICES.path: prices,
    contract.ORDERS.path: orders,
    contract.ORDERS_BY_PO.path: orders_by_po,
    contract.ORDERS_BY_CUSTOMER.path: pages("orders"),
    list_operations.SHIPMENTS_BY_CUSTOMER.path: pages("shipments"),
    list_operations.SHIPMENT_SEARCH.path: search("shipments"),
    list_operations.INVOICES_BY_CUSTOMER.path: pages("invoices"),
    list_operations.INVOICE_SEARCH.path: search("invoices"),
    list_operations.RETURNS_BY_CUSTOMER.path: pages("returns"),
    list_operations.RETURN_SEARCH.path: search("returns"),
    contract.ORDER_SEARCH.path: search("orders"),
    contract.SHIPMENTS.path: shipments,
    contract.SHIPMENTS_BY_ORDER.path: by_order("shipments.order"),
    contract.INVOICES.path: by_order("invoices"),
    contract.INVOICES_BY_ID.path: invoices_by_id,
    return_operations.RETURNS_BY_ID.path: returns_by_id,
    return_operations.RETURNS_BY_NUMBER.path: returns_by_number,
    contract.RETURNS.path: by_order("returns"),
    contract.AGENTS.path: by_number("agents"),
    contract.SUB_AGENTS.path: sub_agents,
    contract.STATEMENTS.path: by_number("statements"),
    contract.STATEMENTS_BY_AGENT.path: statements_by_agent,
    account_operations.RECEIVABLES.path: lambda store, request: found(
        _as_of(store.one("receivables", request.customers))
    ),
    account_operations.OPEN_ITEMS.path: open_items,
    account_operations.ACCOUNT_STATEMENTS.path: account_statements,
    account_operations.CONTACTS.path: contacts,
    account_operations.PURCHASE_HISTORY.path: purchase_history,
    account_operations.ORDER_GUIDES.path: order_guides,
    account_operations.ACCOUNTS.path: accounts,
    quote_operations.QUOTES.path: quotes,
    quote_operations.QUOTES_BY_CUSTOMER.path: pages("quotes"),
    quote_operations.QUOTE_SEARCH.path: search("quotes"),
    contract.SEARCH_ITEMS.path: search_items,
    contract.SEARCH_CUSTOMERS.path: search_customers,
    contract.CHANGES.path: changes,
}

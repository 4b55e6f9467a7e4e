"""Asks for every field as every role, over any transport, and holds the answers to the table in `policy_table`.

A transport is anything with `ask(query, role) -> {"data": ..., "errors": [...]}`: see `Transport`. For every type the
shortest way from Query is taken on which the role is refused nothing; where there is none, the shortest of all, and
the refusal must stand where the way is closed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from graphql import GraphQLSchema, get_named_type, is_composite_type, is_object_type

from app.auth.principal import AnyRole
from app.cli.demo import SANDBOX_DOMAINS
from app.schema import build_schema
from app.settings import Domain, LimitSettings
from app.sources.node_ids import node_id
from tests.support.policy_table import ROLES, Cell

Key = tuple[str, str]
Granted = Mapping[str, frozenset[str]]
"""The roles that see each field."""

KeyPath = tuple[Key, ...]

OWN = "CUST-0001"
OWN_AGENT = "AG-01-01"
SHIPMENT = node_id("Shipment", "logistics", "shp-000025")
LOST_SHIPMENT = node_id("Shipment", "logistics", "shp-014969")
ACCOUNTS = (OWN, "CUST-0010", "CUST-0011")
"""The accounts of every caller who is bound to some; an order of the second one has an exception,
and the third one has invoices that are past due."""

DOMAINS = SANDBOX_DOMAINS.model_copy(update={"search": Domain(master="erp")})
"""Those of a gateway that is walked: items are searched by their source, so that there are facets and categories."""

MAX_ROOTS = LimitSettings().max_root_fields

UNSERVED = {
    "Subscription", "ShipmentUpdate", "OrderUpdate", "IntakeUpdate", "QuoteUpdate", "ReturnUpdate", "UpdatesLost",
    "AvailabilityChanged",
    "AuditEvent", "AuditEventConnection", "AuditEventEdge", "AuditRows", "Change", "ChangesLost",
    "Mutation", "OrderIntake", "OrderIntakeEdge", "OrderIntakePayload", "QuotePayload", "ReturnPayload",
    "IntakeCheck", "IntakeDecision", "IntakeLine",
    "Problem", "Approval", "ApprovalRequirement", "OrderChangePayload", "WorkbenchException", "WorkbenchExceptionEdge",
}  # fmt: skip
"""Not reached by a query, or only after something has happened; their cells are compared with the table of the code.
Streams are walked apart."""

KEY = f'{{number: "{OWN}"}}'
ARGUMENTS: dict[Key, str] = {
    ("Query", "customer"): f"(by: {KEY})",
    ("Query", "auditEvents"): "(first: 2)",
    ("Query", "changes"): "(first: 2)",
    ("Query", "snapshot"): "(first: 2)",
    ("Query", "customers"): "(first: 2)",
    ("Query", "item"): '(by: {sku: "SKU-0001"})',
    ("Query", "items"): "(first: 2)",
    ("Query", "itemsBySku"): '(skus: ["SKU-0001"])',
    ("Query", "node"): '(id: "SXRlbTpTS1UtMDAwMQ")',
    ("Query", "nodes"): '(ids: ["SXRlbTpTS1UtMDAwMQ"])',
    ("Query", "orders"): "(first: 2)",
    ("Query", "shipments"): "(first: 2)",
    ("Query", "invoices"): "(first: 2)",
    ("Query", "return"): '(by: {number: "RMA-16356"})',
    ("Query", "returns"): "(first: 2)",
    ("Query", "quote"): '(by: {number: "QU-2001"})',
    ("Query", "quotes"): "(first: 2)",
    ("Customer", "quotes"): "(first: 2)",
    ("Viewer", "customersConnection"): "(first: 2)",
    ("Customer", "shipTosConnection"): "(first: 2)",
    ("Customer", "shipments"): "(first: 2)",
    ("Customer", "invoices"): "(first: 2)",
    ("Customer", "returns"): "(first: 2)",
    ("Order", "linesConnection"): "(first: 2)",
    ("Order", "shipmentsConnection"): "(first: 2)",
    ("Workbench", "lateOrders"): "(first: 2)",
    ("Workbench", "heldOrders"): "(first: 2)",
    ("Workbench", "pastDueInvoices"): "(first: 2)",
    ("Workbench", "expiringQuotes"): "(first: 2)",
    ("Workbench", "exceptions"): "(first: 2)",
    ("Query", "order"): '(by: {number: "SO-100040"})',
    ("Query", "shipment"): f'(by: {{id: "{SHIPMENT}"}})',
    ("Query", "priceAndAvailability"): f'(customer: {KEY}, lines: [{{item: {{sku: "SKU-0001"}}, quantity: "54", '
    'uom: "box"}])',
    ("Query", "agent"): f'(by: {{number: "{OWN_AGENT}"}})',
    ("Query", "commissionStatement"): '(by: {number: "CS-01-01-103"})',
    ("Agent", "statements"): "(first: 2)",
    ("Receivables", "openItems"): "(first: 2)",
    ("Customer", "orderGuide"): "(first: 2)",
    ("Customer", "purchaseHistory"): '(skus: ["SKU-0001", "SKU-0007"])',
    ("Item", "purchaseHistory"): f"(customer: {KEY})",
    ("Receivables", "statement"): '(since: "2026-01-01", until: "2026-12-31")',
    ("Query", "orderIntake"): '(by: {key: "unknown"})',
    ("Query", "orderIntakes"): "(first: 2)",
    ("Query", "approvalsAwaitingMe"): "(first: 2)",
    ("Query", "promise"): '(item: {sku: "SKU-0001"}, quantity: "1")',
    ("Customer", "orders"): "(first: 2)",
    ("Customer", "openIntakes"): "(first: 2)",
    ("Item", "customerPartNumber"): f"(customer: {KEY})",
    ("Item", "contractPrice"): f"(customer: {KEY})",
}
"""What has to be given, so that there is something to see."""

ELSEWHERE: dict[str, dict[Key, str]] = {
    "Hazmat": {("Query", "item"): '(by: {sku: "SKU-0007"})'},
    "Supply": {("Query", "item"): '(by: {sku: "SKU-0002"})'},
    "Return": {("Query", "order"): '(by: {number: "SO-116356"})'},
    "ReturnLine": {("Query", "order"): '(by: {number: "SO-116356"})'},
    "OrderException": {("Query", "order"): '(by: {number: "SO-115825"})'},
    "ShipmentIncident": {("Query", "shipment"): f'(by: {{id: "{LOST_SHIPMENT}"}})'},
}
"""Other arguments on the way to a type of which the first ones show nothing."""


class Transport(Protocol):
    """A way of asking, as a caller of a role."""

    async def ask(self, query: str, role: AnyRole) -> dict[str, Any]:
        """The answer: `data` and, where something is wrong, `errors`."""
        ...


@dataclass(frozen=True, slots=True)
class Probe:
    """All fields of a type, at the end of a way."""

    type_name: str
    path: KeyPath
    fields: tuple[str, ...]


@dataclass(slots=True)
class Found:
    """What a walk has seen: cells, wrong ones, types of which there was nothing to see, and types that the role might
    see and that no way leads to."""

    cells: dict[str, bool] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    empty: set[str] = field(default_factory=set)
    unreached: set[str] = field(default_factory=set)
    values: dict[str, set[Any]] = field(default_factory=dict)


class Walk:
    """The ways through a schema of which `granted` says who sees what."""

    def __init__(self, schema: GraphQLSchema | None = None, granted: Granted = ROLES) -> None:
        self.schema = schema or build_schema()._schema
        self.granted = granted

    def fields(self, type_name: str) -> dict[str, Any]:
        """The fields of a type."""
        return self.schema.type_map[type_name].fields  # type: ignore[attr-defined]

    def leads(self, key: Key) -> str | None:
        """The object type that a field leads to."""
        type_ = get_named_type(self.fields(key[0])[key[1]].type)
        return type_.name if is_object_type(type_) else None

    def probes(self, role: AnyRole) -> Iterator[Probe]:
        """One probe for each type; several of the roots, of which a document may have so many."""
        open_paths, all_paths = self._paths(role), self._paths(None)
        for name in sorted({key.partition(".")[0] for key in self.granted} - UNSERVED):
            fields, path = tuple(self.fields(name)), open_paths.get(name, all_paths[name])
            for start in range(0, len(fields), MAX_ROOTS if not path else len(fields)):
                yield Probe(name, path, fields[start : start + MAX_ROOTS] if not path else fields)

    def _paths(self, role: AnyRole | None) -> dict[str, KeyPath]:
        paths: dict[str, KeyPath] = {"Query": ()}
        waiting = ["Query"]
        for name in waiting:
            for one in self.fields(name):
                target = self.leads((name, one))
                if target and target not in paths and (role is None or role in self.granted[f"{name}.{one}"]):
                    paths[target] = (*paths[name], (name, one))
                    waiting.append(target)
        return paths

    def text(self, probe: Probe) -> str:
        """The selection of a probe."""
        selected = " ".join(self._selected(probe.type_name, one) for one in probe.fields)
        for key in reversed(probe.path):
            selected = f"{key[1]}{self._given(key, probe.type_name)} {{ {selected} }}"
        return selected

    def _selected(self, type_name: str, name: str) -> str:
        composite = is_composite_type(get_named_type(self.fields(type_name)[name].type))
        return f"{name}{self._given((type_name, name), type_name)}{' { __typename }' if composite else ''}"

    def _given(self, key: Key, target: str) -> str:
        return ELSEWHERE.get(target, {}).get(key) or ARGUMENTS.get(key, "")


async def walk(
    transport: Transport, role: AnyRole, schema: GraphQLSchema | None = None, granted: Granted = ROLES
) -> Found:
    """Ask for everything as a role; one request for each type."""
    probes, found = Walk(schema, granted), Found()
    for probe in probes.probes(role):
        query = f"{{ {probes.text(probe)} }}"
        judge(probe, role, query, await transport.ask(query, role), found, granted)
    return found


def judge(
    probe: Probe, role: AnyRole, query: str, answer: dict[str, Any], found: Found, granted: Granted = ROLES
) -> None:
    """Compare an answer with the table: data, and errors by path, code and place."""
    expected: set[tuple[Any, ...]] = set()
    errors = {tuple(error.get("path", ())): error for error in answer.get("errors", ())}
    parents, closed = _parents(answer.get("data"), probe.path, role, granted)
    expected |= closed
    for path, parent in parents:
        for name in probe.fields:
            if role not in granted[f"{probe.type_name}.{name}"]:
                expected.add((*path, name))
            if isinstance(parent, dict) and not isinstance(parent.get(name), (dict, list)):
                found.values.setdefault(f"{probe.type_name}.{name}", set()).add(parent.get(name))
    for path, error in errors.items():
        code = error["extensions"].get("code")
        if path not in expected or code != "FORBIDDEN" or not _placed(error, path, query):
            found.wrong.append(f"{role}: {probe.type_name}: {path} {code} {error.get('message')}")
    found.wrong += [f"{role}: {probe.type_name}: {path} was answered" for path in expected - set(errors)]
    found.wrong += [f"{role}: {path} is not null" for path in expected if _at(answer.get("data"), path) is not None]
    for name in probe.fields:
        key = f"{probe.type_name}.{name}"
        found.cells[key] = role in granted[key]
        if not parents and not closed:
            found.empty.add(probe.type_name)
        if closed and role in granted[key] and not parents:
            found.unreached.add(probe.type_name)


def _parents(
    data: Any, path: KeyPath, role: AnyRole, granted: Granted
) -> tuple[list[tuple[tuple[Any, ...], Any]], set[tuple[Any, ...]]]:
    """The objects at the end of a way with their paths, and where the way is closed for the role."""
    places: list[tuple[tuple[Any, ...], Any]] = [((), data)] if data is not None else []
    for type_name, name in path:
        paths = [((*path, name), value.get(name)) for path, value in places]
        if role not in granted[f"{type_name}.{name}"]:
            return [], {path for path, _ in paths}
        places = [place for path, value in paths for place in _objects(path, value)]
    return places, set()


def _objects(path: tuple[Any, ...], value: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, list):
        for index, one in enumerate(value):
            yield from _objects((*path, index), one)
    elif value is not None:
        yield path, value


def _placed(error: dict[str, Any], path: Sequence[Any], query: str) -> bool:
    """Whether an error's location is where its field stands in the document."""
    (place,) = error["locations"]
    return query.splitlines()[place["line"] - 1][place["column"] - 1 :].startswith(str(path[-1]))


def _at(data: Any, path: Sequence[Any]) -> Any:
    for step in path:
        if data is None:
            return None
        data = data[step]
    return data


def cells_of(table: Any) -> dict[str, dict[str, Cell]]:
    """All cells of a policy table, as the written one has them."""
    return {
        ".".join(key): {
            role.value: {"rows": str(rule.rows.reach(role)), "mask": mask and str(mask)} if role in rule.roles else None
            for role in table.roles
            for mask in (rule.mask_for(role),)
        }
        for key, rule in table.fields.items()
    }

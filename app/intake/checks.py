"""The checks of an order before its acceptance, side by side and within a time limit.

Each asks the systems of record through the ports. A source that does not answer in time makes its checks UNKNOWN, and
the order RECEIVED: the engine repeats the checks. A domain that no source serves is not checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from app.auth.principal import Principal
from app.errors import (
    CreditExceeded,
    CustomerBlocked,
    CustomerUnknown,
    ItemNotOrderable,
    ItemUnknown,
    NotSupported,
    OrderProblem,
    PriceChanged,
    PriceMissing,
    PriceProofExpired,
    PriceProofForeign,
    PriceProofInvalid,
    PriceProofMismatch,
    QuantityNotOrderable,
    ShipToUnknown,
    TradegraphError,
    UnitUnknown,
)
from app.intake.approvals import Approvals
from app.intake.price_proofs import PriceProofs, ProvenPrice
from app.intake.records import (
    CheckKind,
    IntakeCheck,
    IntakeCheckResult,
    IntakeLine,
    IntakeProblem,
    IntakeState,
    OrderIntake,
    problem_of,
)
from app.settings import IntakeSettings, PriceChangePolicy
from app.sources.customers import CreditState, Customer, CustomerStatus
from app.sources.field_mask import field_mask
from app.sources.items import CustomerPartKey, Item, ItemStatus, Uom
from app.sources.prices import ContractPrice, PriceComparison, PriceRequest
from app.sources.source import Sources
from app.sources.stock import StockLevel
from app.telemetry import metrics

NOT_ORDERABLE = frozenset({ItemStatus.BLOCKED, ItemStatus.DISCONTINUED})
HELD_BY = frozenset({CreditExceeded.code, PriceChanged.code})
"""Codes of problems that a person may overrule: such an order is held, not rejected."""


class Unanswered(NamedTuple):
    """A read that failed: the code of its error."""

    code: str


class Findings:
    """The checks and problems of an order, collected. Checks that the settings leave out are not recorded."""

    def __init__(self, settings: IntakeSettings, at: datetime) -> None:
        self._kinds = {CheckKind(name.upper()) for name in settings.checks}
        self._at = at
        self._rejects = False
        self.checks: list[IntakeCheck] = []
        self.problems: list[IntakeProblem] = []

    def makes(self, kind: CheckKind) -> bool:
        return kind in self._kinds

    def add(
        self,
        kind: CheckKind,
        result: IntakeCheckResult,
        *,
        problem: type[OrderProblem] | None = None,
        message: str | None = None,
        source: str | None = None,
        line: IntakeLine | None = None,
        rejects: bool = False,
    ) -> None:
        """Record a check; a failed one with its problem. `rejects` says that nobody may overrule it."""
        if kind not in self._kinds:
            return
        number = None if line is None else line.line_number
        if problem is not None:
            message = problem.default
            self._rejects |= rejects or problem.code not in HELD_BY
            path = ("input", "lines") if line is not None else ("input", _INPUTS[kind])
            self.problems.append(problem_of(problem, path=path, line_number=number))
        self.checks.append(
            IntakeCheck(kind=kind, result=result, message=message, source=source, at=self._at, line_number=number)
        )

    def unknown(self, kind: CheckKind, read: Unanswered, line: IntakeLine | None = None) -> None:
        """Record a check whose source did not answer; one that no source could answer is left out."""
        if read.code != NotSupported.code:
            self.add(kind, IntakeCheckResult.UNKNOWN, message=read.code, line=line)

    def leaves_open(self, *kinds: CheckKind) -> bool:
        """Whether the result of a check of these kinds is UNKNOWN."""
        return any(check.result is IntakeCheckResult.UNKNOWN and check.kind in kinds for check in self.checks)

    @property
    def state(self) -> IntakeState:
        """The state that follows."""
        if self._rejects:
            return IntakeState.REJECTED
        if self.problems:
            return IntakeState.HELD
        unknown = any(check.result is IntakeCheckResult.UNKNOWN for check in self.checks)
        return IntakeState.RECEIVED if unknown else IntakeState.POSTING


_PROOF_PROBLEMS = frozenset(
    problem.code for problem in (PriceProofExpired, PriceProofForeign, PriceProofInvalid, PriceProofMismatch)
)
_INPUTS = {
    CheckKind.CUSTOMER: "customer",
    CheckKind.SHIP_TO: "shipTo",
    CheckKind.CREDIT: "customer",
}


class OrderChecker:
    """Checks orders against the connected sources."""

    def __init__(self, sources: Sources, settings: IntakeSettings, clock: Callable[[], datetime]) -> None:
        self._sources = sources
        self._settings = settings
        self._clock = clock
        self._proofs = PriceProofs(settings.proofs)
        self._approvals = Approvals(settings.approvals)

    async def check(self, principal: Principal, intake: OrderIntake) -> OrderIntake:
        """The intake with its checks, problems, required approvals and the state that follows. Never raises an error of
        a source."""
        findings = Findings(self._settings, self._clock())
        if not self._settings.checks:
            return msgspec.structs.replace(intake, state=IntakeState.POSTING)
        token = field_mask.set(None)  # Checks read whole records, whatever the operation selects.
        try:
            lines, categories = await self._run(principal, intake, findings)
        finally:
            field_mask.reset(token)
        content = msgspec.structs.replace(
            intake.content, lines=lines, checks=tuple(findings.checks), problems=tuple(findings.problems)
        )
        checked = msgspec.structs.replace(intake, state=findings.state, content=content)
        if not self._approvals.enabled or findings.leaves_open(CheckKind.ITEM, CheckKind.PRICE):
            return checked
        return self._approvals.evaluate(intake, checked, categories)

    async def _run(
        self, principal: Principal, intake: OrderIntake, findings: Findings
    ) -> tuple[tuple[IntakeLine, ...], Mapping[int, str | None]]:
        """The lines with what the checks found, and the categories of their items by line number."""
        deadline = asyncio.get_running_loop().time() + self._settings.check_timeout
        number = intake.customer

        async def within(read: Awaitable[Mapping[Any, Any]]) -> Mapping[Any, Any] | Unanswered:
            try:
                async with asyncio.timeout_at(deadline):
                    return await read
            except TimeoutError:
                return Unanswered("CHECK_TIMEOUT")
            except TradegraphError as error:
                return Unanswered(error.code)

        async def priced() -> tuple[Any, ...]:
            customers, named = await asyncio.gather(
                within(self._sources.customers.by_number(principal, [number])),
                within(self._named_items(principal, intake)),
            )
            lines = _resolved(intake.content.lines, named)
            skus = list(dict.fromkeys(line.sku for line in lines if line.sku is not None))
            items = await within(self._sources.items.by_sku(principal, skus)) if skus else {}
            customer = customers.get(number) if not isinstance(customers, Unanswered) else None
            lines = tuple(_with_unit(line, _row(items, line.sku)) for line in lines)
            to_price = () if intake.content.quote else tuple(line for line in lines if line.sku)
            requests = {line.line_number: _price_request(number, line, customer) for line in to_price}
            prices, levels = await asyncio.gather(
                within(self._sources.prices.quote(principal, list(dict.fromkeys(requests.values())))),
                within(self._sources.stock.levels(principal, skus)),
            )
            return customers, named, lines, items, requests, prices, levels

        credit, found = await asyncio.gather(within(self._sources.credit.status(principal, [number])), priced())
        customers, named, lines, items, requests, prices, levels = found
        self._customer(findings, intake, customers)
        self._credit(findings, number, credit)
        categories: dict[int, str | None] = {}
        for line in lines:
            item = self._item(findings, line, named, items)
            if item is not None:
                categories[line.line_number] = item.category
                if intake.content.quote is None:
                    _unit(findings, line, item)
                _availability(findings, line, item, levels)
        if intake.content.quote is not None:
            for line in lines:
                _offered_price(findings, line, intake.target)
            return lines, categories
        policy = self._settings.proofs.policy_of(intake.client, intake.channel)
        priced_lines = tuple(
            _price(findings, line, _row(prices, request) if request else None, self._proven(intake, line), policy)
            for line, request in ((line, requests.get(line.line_number)) for line in lines)
        )
        return priced_lines, categories

    def _proven(self, intake: OrderIntake, line: IntakeLine) -> ProvenPrice | type[OrderProblem] | None:
        """What the proof of a line states, if it has one, or what is wrong with it. It counts as of the submission."""
        if line.proof is None:
            return None
        proven = self._proofs.verify(intake.tenant, line.proof, intake.received_at)
        if not isinstance(proven, ProvenPrice):
            return proven
        if proven.customer != intake.customer:
            return PriceProofForeign
        return PriceProofMismatch if line.sku not in (None, proven.sku) else proven

    async def _named_items(self, principal: Principal, intake: OrderIntake) -> Mapping[tuple[str, str], str]:
        """SKUs of lines that name their items by GTIN or by the customer's part number."""
        gtins = [line.gtin for line in intake.content.lines if line.gtin]
        parts = [line.part_number for line in intake.content.lines if line.part_number]
        keys = [CustomerPartKey(customer=intake.customer, number=part) for part in parts]
        by_gtin, by_part = await asyncio.gather(
            _read(self._sources.items.by_gtin, principal, gtins),
            _read(self._sources.items.by_customer_part, principal, keys),
        )
        found = {("gtin", gtin): item.sku for gtin, item in by_gtin.items() if isinstance(item, Item)}
        return found | {("part", key.number): sku for key, sku in by_part.items() if isinstance(sku, str)}

    def _customer(self, findings: Findings, intake: OrderIntake, read: Any) -> None:
        customer = _row(read, intake.customer)
        if isinstance(customer, Unanswered):
            findings.unknown(CheckKind.CUSTOMER, customer)
            if intake.content.ship_to is not None:
                findings.unknown(CheckKind.SHIP_TO, customer)
            return
        if customer is None:
            findings.add(CheckKind.CUSTOMER, IntakeCheckResult.FAILED, problem=CustomerUnknown)
            return
        source = customer.freshness.source if customer.freshness else None
        blocked = customer.status is CustomerStatus.INACTIVE
        result = IntakeCheckResult.FAILED if blocked else IntakeCheckResult.PASSED
        if customer.status is CustomerStatus.ON_HOLD:
            result = IntakeCheckResult.WARNED
        findings.add(CheckKind.CUSTOMER, result, problem=CustomerBlocked if blocked else None, source=source)
        if intake.content.ship_to is not None:
            known = any(location.id == intake.content.ship_to for location in customer.ship_tos)
            findings.add(
                CheckKind.SHIP_TO,
                IntakeCheckResult.PASSED if known else IntakeCheckResult.FAILED,
                problem=None if known else ShipToUnknown,
                source=source,
            )

    @staticmethod
    def _credit(findings: Findings, number: str, read: Any) -> None:
        credit = _row(read, number)
        if isinstance(credit, Unanswered):
            findings.unknown(CheckKind.CREDIT, credit)
        elif credit is not None:
            source = credit.freshness.source if credit.freshness else None
            refused = credit.state in (CreditState.HOLD, CreditState.BLOCKED)
            result = IntakeCheckResult.WARNED if credit.state is CreditState.WARN else IntakeCheckResult.PASSED
            findings.add(
                CheckKind.CREDIT,
                IntakeCheckResult.FAILED if refused else result,
                problem=CreditExceeded if refused else None,
                source=source,
            )

    @staticmethod
    def _item(findings: Findings, line: IntakeLine, named: Any, items: Any) -> Item | None:
        item = _row(items, line.sku) if line.sku is not None else (named if isinstance(named, Unanswered) else None)
        if isinstance(item, Unanswered):
            for kind in (CheckKind.ITEM, CheckKind.UNIT, CheckKind.AVAILABILITY):
                findings.unknown(kind, item, line)
            return None
        if item is None:
            findings.add(CheckKind.ITEM, IntakeCheckResult.FAILED, problem=ItemUnknown, line=line)
            return None
        source = item.freshness.source if item.freshness else None
        refused = item.status in NOT_ORDERABLE
        findings.add(
            CheckKind.ITEM,
            IntakeCheckResult.FAILED if refused else IntakeCheckResult.PASSED,
            problem=ItemNotOrderable if refused else None,
            source=source,
            line=line,
        )
        return item


def count_prices(intake: OrderIntake) -> None:
    """Count the lines with a proof of an intake that was checked, by what came of them."""
    failed = {problem.line_number for problem in intake.problems if problem.code in _PROOF_PROBLEMS}
    for line in intake.lines:
        comparison = line.price_comparison
        if line.proof is not None and (comparison is not None or line.line_number in failed):
            result = "refused" if comparison is None else comparison.value.lower()
            metrics().intake.prices.labels(intake.channel, result).inc()


async def _read(read: Callable[..., Awaitable[Mapping[Any, Any]]], principal: Principal, keys: Sequence[Any]) -> Any:
    return await read(principal, keys) if keys else {}


def _row(read: Any, key: Any) -> Any:
    """The row of a key, None if there is none, or Unanswered."""
    if isinstance(read, Unanswered):
        return read
    row = read.get(key)
    if isinstance(row, Exception):
        return Unanswered(row.code if isinstance(row, TradegraphError) else TradegraphError.code)
    return row


def _resolved(lines: Sequence[IntakeLine], named: Any) -> tuple[IntakeLine, ...]:
    """The lines with the SKUs that GTINs and part numbers stand for, as far as they are known."""
    if isinstance(named, Unanswered):
        return tuple(lines)

    def resolve(line: IntakeLine) -> IntakeLine:
        key = ("gtin", line.gtin) if line.gtin else ("part", line.part_number)
        return line if line.sku is not None else msgspec.structs.replace(line, sku=named.get(key))

    return tuple(map(resolve, lines))


def _uom(line: IntakeLine, item: Item) -> Uom | None:
    text = (line.uom or item.base_uom).casefold()
    return next((uom for uom in item.uoms if text in (uom.code.casefold(), (uom.name or "").casefold())), None)


def _with_unit(line: IntakeLine, item: Any) -> IntakeLine:
    """The line with the code of its unit, if it was named otherwise."""
    uom = _uom(line, item) if isinstance(item, Item) and line.uom is not None else None
    return line if uom is None else msgspec.structs.replace(line, uom=uom.code)


def _unit(findings: Findings, line: IntakeLine, item: Item) -> None:
    uom = _uom(line, item)
    source = item.freshness.source if item.freshness else None
    problem: type[OrderProblem] | None = None
    if uom is None and line.uom is not None:
        problem = UnitUnknown
    elif uom is not None and not _fits(line.quantity, uom):
        problem = QuantityNotOrderable
    result = IntakeCheckResult.FAILED if problem else IntakeCheckResult.PASSED
    findings.add(CheckKind.UNIT, result, problem=problem, source=source, line=line)


def _fits(quantity: Decimal, uom: Uom) -> bool:
    below = uom.minimum is not None and quantity < uom.minimum
    return not below and (not uom.increment or quantity % uom.increment == 0)


def _price_request(customer: str, line: IntakeLine, record: Customer | None) -> PriceRequest:
    agreement = record.agreement if isinstance(record, Customer) else None
    return PriceRequest(customer, line.sku or "", line.quantity, line.uom, None, agreement)


def _price(
    findings: Findings,
    line: IntakeLine,
    price: Any,
    proven: ProvenPrice | type[OrderProblem] | None,
    policy: PriceChangePolicy,
) -> IntakeLine:
    """Record the check of a line's price and its proof; the line with the prices that were proven and found."""
    if isinstance(price, ContractPrice):
        line = msgspec.structs.replace(line, unit_price=price.unit_price, price_unit=price.price_unit)
        if isinstance(proven, ProvenPrice) and not _is_quoted(line, price, proven):
            proven = PriceProofMismatch
    if isinstance(proven, ProvenPrice):
        line = msgspec.structs.replace(line, quoted_price=proven.unit_price, quoted_price_unit=proven.price_unit)
    elif proven is not None:
        findings.add(CheckKind.PRICE, IntakeCheckResult.FAILED, problem=proven, line=line)
        return line
    if isinstance(price, Unanswered):
        findings.unknown(CheckKind.PRICE, price, line)
    elif isinstance(price, ContractPrice):
        _price_change(findings, line, price.authority, policy)
    elif line.sku is not None:
        findings.add(CheckKind.PRICE, IntakeCheckResult.FAILED, problem=PriceMissing, line=line)
    return line


def _offered_price(findings: Findings, line: IntakeLine, source: str) -> None:
    """Record the check of the price of a quote's line, which its source has offered."""
    missing = line.unit_price is None
    result = IntakeCheckResult.FAILED if missing else IntakeCheckResult.PASSED
    findings.add(CheckKind.PRICE, result, problem=PriceMissing if missing else None, source=source, line=line)


def _is_quoted(line: IntakeLine, price: ContractPrice, proven: ProvenPrice) -> bool:
    """Whether a proof is of the line's unit and quantity break. Breaks are the current ones; where the source does not
    tell them, the quantity must be the same."""
    if proven.uom != price.uom:
        return False
    if proven.quantity == line.quantity:
        return True

    def break_of(quantity: Decimal) -> Decimal | None:
        return max((step.minimum for step in price.breaks if step.minimum <= quantity), default=None)

    return bool(price.breaks) and break_of(proven.quantity) == break_of(line.quantity)


def _price_change(findings: Findings, line: IntakeLine, source: str, policy: PriceChangePolicy) -> None:
    """Record what follows from the current price beside the proven one, if there is one."""
    comparison = line.price_comparison
    if comparison in (None, PriceComparison.EQUAL):
        findings.add(CheckKind.PRICE, IntakeCheckResult.PASSED, source=source, line=line)
    elif comparison is PriceComparison.LOWER and policy is PriceChangePolicy.ACCEPT_IF_LOWER:
        message = "The price is lower than the quoted one."
        findings.add(CheckKind.PRICE, IntakeCheckResult.WARNED, message=message, source=source, line=line)
    else:
        rejects = policy is PriceChangePolicy.REJECT
        findings.add(
            CheckKind.PRICE, IntakeCheckResult.FAILED, problem=PriceChanged, source=source, line=line, rejects=rejects
        )


def _availability(findings: Findings, line: IntakeLine, item: Item, levels: Any) -> None:
    """Warn of a line for which there is too little on hand now; when more comes is the promise's to say."""
    level = _row(levels, item.sku)
    if isinstance(level, Unanswered):
        findings.unknown(CheckKind.AVAILABILITY, level, line)
    elif isinstance(level, StockLevel):
        uom = _uom(line, item)
        needed = line.quantity if uom is None else line.quantity * uom.numerator / uom.denominator
        free = sum((row.on_hand - row.reserved - row.quality_hold for row in level.positions), Decimal(0))
        result = IntakeCheckResult.PASSED if free >= needed else IntakeCheckResult.WARNED
        message = None if free >= needed else "Less is on hand than was ordered."
        findings.add(CheckKind.AVAILABILITY, result, message=message, source=level.freshness.source, line=line)

"""ATP arithmetic against a model that steps through every day."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from app.resolvers.atp import Allocation, Projection, available, promise
from app.sources.stock import Supply, SupplyKind

TODAY = date(2026, 11, 21)
HORIZON = 12


def day(offset: int) -> date:
    return TODAY + timedelta(days=offset)


quantities = st.integers(-60, 60).map(Decimal)
supplies = st.lists(
    st.builds(
        Supply,
        date=st.integers(-3, HORIZON - 1).map(day),
        delta=quantities,
        kind=st.sampled_from(SupplyKind),
    ),
    max_size=6,
)
projections = st.builds(lambda start, supply: Projection.of(start, supply, TODAY), quantities, supplies)
places = st.lists(projections, min_size=1, max_size=3).map(
    lambda found: [(f"WH-{index}", projection) for index, projection in enumerate(found)]
)


def daily(projection: Projection) -> list[Decimal]:
    """The model: the balance at the end of each day of the horizon."""
    balance, days = projection.start, []
    for offset in range(HORIZON):
        balance += sum((delta for at, delta in projection.changes if at == day(offset)), Decimal(0))
        days.append(balance)
    return days


@given(projections, st.integers(0, HORIZON - 1))
def test_atp_is_the_smallest_balance_from_the_day_on(projection: Projection, offset: int) -> None:
    balances = daily(projection)
    assert projection.balance(day(offset)) == balances[offset]
    assert projection.available(day(offset)) == max(Decimal(0), min(balances[offset:]))


@given(quantities, supplies, st.integers(0, HORIZON - 1))
def test_atp_of_one_day_is_the_projections(start: Decimal, supply: list[Supply], offset: int) -> None:
    assert available(start, supply, day(offset)) == Projection.of(start, supply, TODAY).available(day(offset))


@given(places, st.integers(1, 150).map(Decimal), st.none() | st.integers(0, HORIZON - 1).map(day))
def test_a_promise_takes_nothing_from_a_later_order(
    found: list[tuple[str, Projection]], quantity: Decimal, by: date | None
) -> None:
    parts, rest = promise(found, quantity, by)
    for name, projection in found:
        balances = daily(projection)
        for offset, balance in enumerate(balances):
            taken = sum(
                (part.quantity for part in parts if part.warehouse == name and part.day <= day(offset)), Decimal(0)
            )
            assert taken == 0 or taken <= max(balance, Decimal(0))
    assert sum((part.quantity for part in parts), Decimal(0)) + rest == quantity
    assert all(part.quantity > 0 and (by is None or part.day <= by) for part in parts)


@given(places, st.integers(1, 150).map(Decimal))
def test_a_promise_confirms_as_much_as_early_as_the_model_can(
    found: list[tuple[str, Projection]], quantity: Decimal
) -> None:
    parts, rest = promise(found, quantity)
    for offset in range(HORIZON):
        possible = sum((max(Decimal(0), min(daily(projection)[offset:])) for _, projection in found), Decimal(0))
        confirmed = sum((part.quantity for part in parts if part.day <= day(offset)), Decimal(0))
        assert confirmed == min(quantity, possible)
    assert rest == quantity - sum((part.quantity for part in parts), Decimal(0))


def test_overdue_supply_counts_as_of_today() -> None:
    late = Supply(date=day(-5), delta=Decimal(7), kind=SupplyKind.RECEIPT)
    projection = Projection.of(Decimal(3), [late], TODAY)
    assert projection.changes == ((TODAY, Decimal(7)),)
    assert projection.available(TODAY) == Decimal(10)


def test_one_warehouse_that_has_all_is_preferred_over_a_split() -> None:
    small = Projection.of(Decimal(6), [], TODAY)
    large = Projection.of(Decimal(10), [], TODAY)
    assert promise([("A", small), ("B", large)], Decimal(9)) == ([Allocation(TODAY, "B", Decimal(9))], Decimal(0))


def test_the_rest_comes_with_the_next_receipt() -> None:
    receipt = Supply(date=day(4), delta=Decimal(20), kind=SupplyKind.RECEIPT)
    projection = Projection.of(Decimal(5), [receipt], TODAY)
    parts, rest = promise([("A", projection)], Decimal(12))
    assert parts == [Allocation(TODAY, "A", Decimal(5)), Allocation(day(4), "A", Decimal(7))]
    assert rest == Decimal(0)
    assert promise([("A", projection)], Decimal(12), day(3)) == ([Allocation(TODAY, "A", Decimal(5))], Decimal(7))


def test_stock_that_a_later_order_owns_is_not_promised() -> None:
    demand = Supply(date=day(6), delta=Decimal(-80), kind=SupplyKind.DEMAND)
    projection = Projection.of(Decimal(100), [demand], TODAY)
    assert projection.balance(TODAY) == Decimal(100)
    assert projection.available(TODAY) == Decimal(20)

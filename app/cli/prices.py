"""`./run prices`: quoted, ordered and invoiced prices."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from app.cli.stores import Config, DataDir, run_with, settings_of
from app.errors import ConfigurationError, SourceError

if TYPE_CHECKING:
    from app.intake.price_checks import PriceReconciliation
    from app.intake.records import PriceCheck
    from app.intake.store import IntakeStore

prices = typer.Typer(help="Prices of submitted orders.", no_args_is_help=True)


@prices.callback()
def group() -> None:
    """Prices of submitted orders."""


@prices.command()
def reconcile(
    since: Annotated[datetime, typer.Option(help="First day of submission, in UTC.", formats=["%Y-%m-%d"])],
    config: Config = None,
    data_dir: DataDir = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Compare quoted, ordered and invoiced prices of posted orders. Exits with 1 if prices of a line differ."""
    from app.intake.price_checks import reconcile_prices
    from app.intake.stores import connect_intakes
    from app.sources.wiring import connect_all

    settings = settings_of(config, data_dir, demo=True)

    async def work(store: IntakeStore) -> PriceReconciliation:
        sources = connect_all(settings)
        try:
            return await reconcile_prices(store, sources, since.replace(tzinfo=UTC).timestamp())
        finally:
            await sources.close()

    try:
        found = run_with(connect_intakes, settings, "intake", work)
    except SourceError as error:
        raise ConfigurationError(f"sources.{error.source}", None, f"cannot be compared with: {error.message}") from None
    if json:
        differences = [_plain(one) for one in found.differences]
        document = {"orders": found.orders, "lines": found.lines, "differences": differences}
        print(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
    else:
        counts = ", ".join(f"{name.lower()}: {count}" for name, count in sorted(found.lines.items()))
        print(f"orders: {found.orders}; lines: {counts or 'none'}")
        for one in map(_plain, found.differences):
            print(" ".join(str(value) for value in one.values() if value is not None))
    if found.differences:
        raise typer.Exit(1)


def _plain(check: PriceCheck) -> dict[str, object]:
    amounts = {
        name: f"{money.amount} {money.currency}" if money is not None else None
        for name, money in (("quoted", check.quoted), ("ordered", check.ordered), ("invoiced", check.invoiced))
    }
    return {
        "result": check.result.value if check.result is not None else None,
        "order": check.order_number,
        "line": check.line_number,
        "sku": check.sku,
        "uom": check.uom,
        "invoice": check.invoice_number,
        **amounts,
        "quotedUnit": str(check.quoted_unit),
    }

"""A process that posts orders, as a gateway worker does: `python -m bench.trials.order_worker SETTINGS.json`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from app.intake.checks import OrderChecker
from app.intake.engine import PostingEngine
from app.intake.stores import connect_intakes
from app.settings import Settings
from app.sources.values import utc_now
from app.sources.wiring import connect_all


async def main(settings: Settings) -> None:
    sources = connect_all(settings)
    assert sources.order_targets is not None  # noqa: S101 - the trial configures one
    checker = OrderChecker(sources, settings.intake, utc_now)
    store = connect_intakes(settings)
    async with PostingEngine(store, sources.order_targets, checker, settings.intake, utc_now).running():
        print("ready", file=sys.stderr, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Settings.model_validate_json(Path(sys.argv[1]).read_text())))

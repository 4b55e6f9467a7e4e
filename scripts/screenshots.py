"""Take the pictures of the documentation anew, of the pages as they are, over the demo's backends.

    ./run screenshots [NAME ...]

Needs Chromium. Look at what it took before you commit it.
"""

from __future__ import annotations

import asyncio
import base64
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.auth.principal import Role  # noqa: E402 - the root has to be on the path
from app.cli.demo import MOVING  # noqa: E402
from app.sandbox import Sandbox, start_sandbox  # noqa: E402
from app.settings import CacheSettings, EventSettings  # noqa: E402
from app.sources.values import utc_now  # noqa: E402
from tests.support.browser import Page, browsing  # noqa: E402
from tests.support.consumers import VARIABLES  # noqa: E402
from tests.support.gateway import TODAY, Graph, document, gateway, signed  # noqa: E402

IMAGES = ROOT / "docs" / "images"
REP = signed(Role.SALES_REP, "CUST-0001")


async def console(page: Page, sandbox: Sandbox) -> None:
    """The console, while shipments cannot be read."""
    async with gateway(sandbox, cache=CacheSettings()) as graph:
        await ask_all(graph, 12)
        for resource in ("*", "batch"):
            await graph.turn("logistics", resource=resource, errorRate=1)
        for name in ("order_tracking", "sales_view"):
            for _ in range(8):
                await graph.ask(document(name), VARIABLES[name], principal=REP)
        await opened(page, graph, "console", signed(Role.OPERATIONS), width=1400)
        await page.until("document.querySelector('[data-breaker=OPEN], [data-breaker=HALF_OPEN]')")
        await page.until("document.querySelectorAll('.drawing .call').length > 3")
        await keep(page, "console", 1400)


async def track(page: Page, sandbox: Sandbox) -> None:
    """The tracking page, a moment after a step has come."""
    async with gateway(sandbox, clock=utc_now, events=EventSettings(poll=0.2)) as graph:
        buyer = signed(Role.BUYER, "CUST-0001")
        await opened(page, graph, "track", buyer, width=1280)
        await page.until("document.querySelector('#live')?.innerText.startsWith('Live')")
        await page.run(
            "[...document.querySelectorAll('#list button')]"
            ".find((one) => !one.innerText.includes('Delivered') && one.innerText.includes('SO-100040')).click()"
        )
        carrier = graph.backends["logistics"]
        (await carrier.post(f"/sandbox/shipments/{MOVING}")).raise_for_status()
        await page.until("document.querySelector('.timeline .fresh')")
        await page.until("document.querySelector('.timeline .fresh').getAnimations().length === 0")
        await keep(page, "track", 1280)


async def sales(page: Page, sandbox: Sandbox) -> None:
    """The orders of the sales app on a phone: one rejected, one posted."""
    async with gateway(sandbox) as graph:
        await opened(page, graph, "sales", REP, width=390)
        await page.until("document.querySelector('[data-customer=\"CUST-0001\"]')")
        for po, quantity, state in (("4711", "12", "POSTED"), ("4712", "0.3", "REJECTED")):
            await page.run("location.hash = '#customer/CUST-0001'")
            await page.until("document.querySelector('#last-lines ~ ul li') && !document.querySelector('main .warn')")
            await page.run("document.querySelector('#last-lines ~ ul input').select()")
            await page.type(quantity)
            await page.run("document.querySelector('#last-lines ~ ul button').click()")
            await page.until("document.querySelector('#tab-cart').innerText === 'Cart (1)'")
            await page.run("location.hash = '#cart'")
            await page.until("document.querySelector('#customerPo')")
            await page.run("document.querySelector('#customerPo').focus()")
            await page.type(po)
            await page.run("document.querySelector('#submit').click()")
            await page.until(f"document.querySelector('article[data-state={state}]')")
        await keep(page, "sales", 390)


async def ask_all(graph: Graph, times: int) -> None:
    """What the consumers ask, over and over."""
    for _ in range(times):
        for name, variables in VARIABLES.items():
            await graph.ask(document(name), variables, principal=REP)


async def opened(page: Page, graph: Graph, name: str, principal: dict[str, str], *, width: int) -> None:
    """Open a page of the gateway as somebody."""
    await page.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
    )
    await page.open(f"{graph.client.base_url}/{name}/#token={principal['authorization'].removeprefix('Bearer ')}")


async def keep(page: Page, name: str, width: int) -> None:
    """Keep the picture of the whole page."""
    height = await page.run("Math.ceil(document.body.getBoundingClientRect().height)")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    taken = await page.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
    IMAGES.mkdir(exist_ok=True)
    path = IMAGES / f"{name}.png"
    path.write_bytes(base64.b64decode(taken["data"]))
    print(f"{path.relative_to(ROOT)}: {width} x {height}, {path.stat().st_size // 1024} kB")


PICTURES: dict[str, Callable[[Page, Sandbox], Awaitable[None]]] = {"console": console, "track": track, "sales": sales}


async def main(names: list[str]) -> int:
    """2 if there is no such picture."""
    if unknown := [name for name in names if name not in PICTURES]:
        print(f"no such picture: {', '.join(unknown)}. There are: {', '.join(PICTURES)}")
        return 2
    with tempfile.TemporaryDirectory() as folder, start_sandbox(Path(folder), today=TODAY) as sandbox:
        for name in names or PICTURES:
            async with browsing() as page:
                await page.call(
                    "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}]
                )
                await PICTURES[name](page, sandbox)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))

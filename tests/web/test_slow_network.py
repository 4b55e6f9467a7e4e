"""The sales view in a browser on a mobile network: one round trip, and few bytes."""

from __future__ import annotations

import json
from typing import Any

from app.sandbox import Sandbox
from app.settings import ServerSettings
from tests.support.browser import browsing
from tests.support.consumers import VARIABLES
from tests.support.gateway import REP, document, gateway

MOBILE = {"offline": False, "latency": 300, "downloadThroughput": 200_000, "uploadThroughput": 90_000}
"""As Chromium emulates a 3G network: 300 ms for each round trip, 1.6 Mbit/s down, 0.7 Mbit/s up."""

BODY = json.dumps({"query": document("sales_view"), "variables": VARIABLES["sales_view"]})


async def transfer(sandbox: Sandbox, *, compression: bool) -> dict[str, Any]:
    """What a page that asks for the sales view reports: the response's status, its characters, its bytes on the wire,
    its milliseconds; and how many requests it took."""
    server = ServerSettings(compression=compression, request_timeout=60)
    async with gateway(sandbox, server=server) as graph, browsing() as page:
        await page.open(f"{graph.client.base_url}/track/")
        await page.until("document.body.innerText.includes('Sign in')")
        await page.call("Network.emulateNetworkConditions", **MOBILE)
        found = await page.run(f"""(async () => {{
            const response = await fetch("/graphql", {{
                method: "POST",
                headers: {json.dumps({"content-type": "application/json", **REP})},
                body: {json.dumps(BODY)},
            }});
            const text = await response.text();
            const [timing] = performance.getEntriesByType("resource").filter(one => one.name.endsWith("/graphql"));
            return {{
                status: response.status,
                length: text.length,
                bytes: timing.encodedBodySize,
                milliseconds: timing.duration,
                orders: JSON.parse(text).data.customer.orders.edges.length,
            }};
        }})()""")
        return found | {"requests": sum(url.endswith("/graphql") for url in page.requests)}


async def test_sales_view_takes_one_round_trip_and_few_bytes(dated_sandbox: Sandbox):
    packed, plain = [await transfer(dated_sandbox, compression=chosen) for chosen in (True, False)]
    for found in (packed, plain):
        assert (found["status"], found["orders"], found["requests"]) == (200, 20, 1)
    assert plain["bytes"] == plain["length"]
    assert abs(packed["length"] - plain["length"]) < 100  # Times of reading differ in their digits.
    assert packed["bytes"] * 8 < plain["bytes"]

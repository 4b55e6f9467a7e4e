"""Headless Chromium over its DevTools protocol: just enough to open a page, click, type and read."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The flags keep Chromium from looking up its maker's hosts at its start.
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--window-size=1400,900",
    "--remote-debugging-port=0",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
LOCAL = {"127.0.0.1", "localhost", "[::1]"}


class Page:
    """A tab. `requests` are the addresses that it asked for, `problems` what its console and policies complained of."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.session: str | None = None
        self.requests: list[str] = []
        self.problems: list[str] = []

    async def listen(self) -> None:
        """Take in what the browser says, until it is closed."""
        with suppress(ConnectionClosed):
            async for text in self._socket:
                self._take(json.loads(text))

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("id") in self._answers:
            self._answers.pop(message["id"]).set_result(message)
        elif message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        elif message.get("method") == "Log.entryAdded":
            self._note(message["params"]["entry"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.problems.append(str(message["params"]["exceptionDetails"].get("exception", {}).get("description")))

    def _note(self, entry: dict[str, Any]) -> None:
        if entry["level"] == "error":
            self.problems.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}")

    async def call(self, method: str, *, wait: float = 30, **parameters: Any) -> dict[str, Any]:
        """One command; its result, which may take `wait` seconds."""
        number = next(self._ids)
        self._answers[number] = asyncio.get_running_loop().create_future()
        session = {"sessionId": self.session} if self.session else {}
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters, **session}))
        answer = await asyncio.wait_for(self._answers[number], wait)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    async def run(self, script: str, wait: float = 30) -> Any:
        """The value of a JavaScript expression; of its promise, if it is one, after `wait` seconds at most."""
        given = {"expression": script, "awaitPromise": True, "returnByValue": True}
        answer = await self.call("Runtime.evaluate", wait=wait, **given)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    async def until(self, condition: str, timeout: float = 20) -> Any:
        """Wait in the page for a JavaScript expression to be true, looked at on each change of the document."""
        script = f"""new Promise((done, fail) => {{
            const look = () => {{
                // The document may have no body yet.
                const found = document.body && ({condition});
                if (found) {{ watch.disconnect(); done(found); }}
            }};
            const watch = new MutationObserver(look);
            watch.observe(document, {{subtree: true, childList: true, characterData: true, attributes: true}});
            setTimeout(() => fail(new Error('in vain: ' + document.body?.innerText.slice(0, 500))), {timeout * 1000});
            look();
        }})"""
        return await self.run(script, timeout + 10)

    async def open(self, url: str) -> None:
        """Go to an address."""
        await self.call("Page.navigate", url=url)

    async def resize(self, width: int, height: int) -> None:
        """Give the page a window of this size, in CSS pixels."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def type(self, text: str) -> None:
        """Put text where the cursor is, as a keyboard would."""
        await self.call("Input.insertText", text=text)

    async def key(self, key: str, code: int, *, ctrl: bool = False) -> None:
        """Press a key."""
        for kind in ("rawKeyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, modifiers=2 * ctrl
            )

    async def picture(self) -> bytes:
        """The page as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])

    def foreign(self) -> list[str]:
        """Requests that left this machine. Data and blob addresses do not."""
        parts = [urlsplit(url) for url in self.requests]
        return [part.geturl() for part in parts if part.scheme not in {"data", "blob"} and part.hostname not in LOCAL]


@asynccontextmanager
async def browsing() -> AsyncIterator[Page]:
    """A fresh tab of a fresh browser; skips the test where there is no Chromium."""
    program = next((path for name in NAMES if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"needs one of {', '.join(NAMES)} on the PATH")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            program,
            *FLAGS,
            f"--user-data-dir={profile}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with connect(await _address(process), max_size=None) as socket:
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                target = await page.call("Target.createTarget", url="about:blank")
                attached = await page.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
                page.session = attached["sessionId"]
                for domain in ("Page", "Network", "Runtime", "Log"):
                    await page.call(f"{domain}.enable")
                yield page
                listening.cancel()
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    """Where the protocol is spoken, which the browser writes on standard error."""
    assert process.stderr is not None
    while line := (await asyncio.wait_for(process.stderr.readline(), 120)).decode():
        if line.startswith("DevTools listening on "):
            return line.split()[-1]
    pytest.skip("Chromium did not start here")

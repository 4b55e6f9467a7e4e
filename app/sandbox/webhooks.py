"""Signed webhooks of one sandbox system: one attempt per change, in order; losses can be injected."""

from __future__ import annotations

import asyncio
import random
import time
from urllib.parse import urlsplit

import msgspec

from app.errors import TradegraphError
from app.http.client import HTTPClient
from app.http.standard_webhooks import decode_secret, signed_headers
from app.sandbox.reads import BadRequest
from app.settings import SourceSettings

TIME_LIMIT = 5.0


class WebhookTarget(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """The receiver of webhooks. Each is signed with all `secrets`. The next `lose` are not sent, and of the others a
    share of `loss_rate`, decided by `seed`; `twice` sends each two times."""

    url: str
    secrets: tuple[str, ...]
    lose: int = 0
    loss_rate: float = 0.0
    seed: int = 0
    twice: bool = False


class DeliveryCounts(msgspec.Struct, rename="camel"):
    """Counts of webhooks by outcome."""

    accepted: int = 0
    refused: int = 0
    lost: int = 0


class WebhookPublisher:
    """The webhook of one system, if one is set. A new one replaces it and resets the counts."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._sender: TargetSender | None = None

    async def set(self, target: WebhookTarget) -> None:
        await self.clear()
        self._sender = TargetSender(self._name, target)

    async def clear(self) -> None:
        """Remove the target. Queued webhooks are lost."""
        sender, self._sender = self._sender, None
        if sender is not None:
            await sender.close()

    def publish(self, sequence: int, change: bytes) -> None:
        if self._sender is not None:
            self._sender.publish(sequence, change)

    def state(self) -> dict[str, object]:
        """The target's URL and counts, without secrets."""
        if self._sender is None:
            return {"url": None}
        return {"url": self._sender.target.url, **msgspec.to_builtins(self._sender.counts)}


class TargetSender:
    """Sends to one URL, sequentially."""

    def __init__(self, name: str, target: WebhookTarget) -> None:
        parts = urlsplit(target.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise BadRequest("url must be an http or https address")
        try:
            self._keys = [decode_secret(secret) for secret in target.secrets]
        except ValueError as error:
            raise BadRequest(f"a secret {error}") from None
        if not self._keys:
            raise BadRequest("give a secret")
        self.target = target
        self.counts = DeliveryCounts()
        self._path = parts.path or "/"
        self._left_to_lose = target.lose
        self._rng = random.Random(target.seed)
        settings = SourceSettings(vendor="rest", base_url=f"{parts.scheme}://{parts.netloc}", timeout=TIME_LIMIT)
        self._http = HTTPClient(f"{name}-webhook", settings)
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self._task = asyncio.create_task(self._run())

    def publish(self, sequence: int, change: bytes) -> None:
        if self._left_to_lose > 0 or self._rng.random() < self.target.loss_rate:
            self._left_to_lose = max(self._left_to_lose - 1, 0)
            self.counts.lost += 1
            return
        for _ in range(2 if self.target.twice else 1):
            self._waiting.put_nowait((f"msg_{sequence}", b'{"events":[%s]}' % change))

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._http.aclose()

    async def _run(self) -> None:
        while True:
            id, body = await self._waiting.get()
            headers = signed_headers(self._keys, id, int(time.time()), body)
            try:
                await self._http.request(
                    "POST",
                    self._path,
                    content=body,
                    headers={"Content-Type": "application/json", **headers},
                    call="webhook",
                    safe=False,
                )
                self.counts.accepted += 1
            except TradegraphError:
                self.counts.refused += 1

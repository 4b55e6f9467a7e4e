"""The mock backend: the `rest` contract's reads and its batch, out of memory, as fast as Python can.

    python -m bench.upstream PORT

Answers are bytes made once and kept by path and body, so that under load a request costs one look-up and one write.
`PUT /bench/delay` with a number sets the seconds that each answer waits. `PUT /bench/keys` sets the key set that
`/.well-known/jwks.json` answers. Tokens are not checked.
"""

from __future__ import annotations

import asyncio
import gc
import re
import sys
from collections.abc import Callable
from typing import Any

import orjson
import uvloop

from bench.dataset import Dataset, build
from bench.expected import own_cursor

KEPT = 20_000
"""Answers kept; the benchmark's own requests are far fewer."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_JSON, _LINES, _PROBLEM = b"application/json", b"application/x-ndjson", b"application/problem+json"


class Unknown(Exception):
    """A read that this backend does not serve."""


class Reads:
    """Answers of the contract's reads, from a request's path and body."""

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self._rows = {
            name: {key: orjson.dumps(row) for key, row in getattr(data, name).items()}
            for name in ("customers", "credit", "items", "stock", "shipments")
        }
        self._rows["order"] = {row["number"]: orjson.dumps(row) for rows in data.orders.values() for row in rows}
        self._orders = {key: [orjson.dumps(row) for row in rows] for key, rows in data.orders.items()}
        self._reads: dict[str, Callable[[Any], bytes]] = {
            "/v1/customers/read": self._customers,
            "/v1/credit/read": lambda body: self._found("credit", body["customers"]),
            "/v1/items/read": lambda body: self._found("items", body["skus"]),
            "/v1/stock/read": lambda body: self._found("stock", body["skus"]),
            "/v1/shipments/by-order": lambda body: self._found("shipments", body["orders"]),
            "/v1/prices/quote": self._prices,
            "/v1/orders/by-customer": self._orders_by_customer,
            "/v1/orders/read": lambda body: self._found("order", body["numbers"]),
            "/v1/warehouses": lambda _: orjson.dumps(self._data.warehouses),
            "/livez": lambda _: b"{}",
        }

    def answer(self, path: str, body: bytes) -> tuple[int, bytes, bytes]:
        """Status, content type and body."""
        try:
            read: Any = orjson.loads(body) if body else None
            if path == "/v1/batch":
                return 200, _LINES, b"".join(self._part(part) for part in read)
            return 200, _JSON, self._read(path, read)
        except Unknown:
            return 404, _PROBLEM, b'{"title":"No such read","status":404,"code":"NOT_FOUND"}'
        except (KeyError, TypeError, ValueError):
            return 400, _PROBLEM, b'{"title":"The request cannot be read","status":400,"code":"BAD_REQUEST"}'

    def _read(self, path: str, body: Any) -> bytes:
        if path not in self._reads:
            raise Unknown
        return self._reads[path](body)

    def _part(self, part: Any) -> bytes:
        body = orjson.dumps(part["body"]) if part.get("body") is not None else b""
        status, _, answer = self.answer(part["path"], body)
        return b'{"id":%s,"status":%d,"body":%s}\n' % (orjson.dumps(part["id"]), status, answer)

    def _found(self, kind: str, keys: list[str]) -> bytes:
        rows = self._rows[kind]
        return _pairs((orjson.dumps(key), rows[key]) for key in keys if key in rows)

    def _customers(self, body: Any) -> bytes:
        if "CREDIT" not in body.get("include", ()):
            return self._found("customers", body["numbers"])
        rows, credit = self._rows["customers"], self._rows["credit"]
        return _pairs(
            (orjson.dumps(key), b'{"credit":%s,%s' % (credit[key], rows[key][1:]))
            for key in body["numbers"]
            if key in rows
        )

    def _prices(self, body: Any) -> bytes:
        return _pairs(
            (b"%d" % place, orjson.dumps(self._price(question))) for place, question in enumerate(body["requests"])
        )

    def _price(self, question: Any) -> Any:
        return self._data.price(question["customer"], question["sku"], str(question["quantity"]), question.get("uom"))

    def _orders_by_customer(self, body: Any) -> bytes:
        page = body["query"]["page"]
        return _pairs((orjson.dumps(key), self._window(key, page)) for key in body["customers"] if key in self._orders)

    def _window(self, customer: str, page: Any) -> bytes:
        rows = self._orders[customer]
        start = int(page["after"].rpartition(".")[2]) + 1 if page.get("after") else 0
        end = min(len(rows), start + page["first"])
        return b'{"rows":[%s],"cursors":%s,"hasNext":%s,"hasPrevious":%s}' % (
            b",".join(rows[start:end]),
            orjson.dumps([own_cursor(customer, place) for place in range(start, end)]),
            orjson.dumps(end < len(rows)),
            orjson.dumps(start > 0),
        )


def _pairs(pairs: Any) -> bytes:
    return b"[%s]" % b",".join(b'{"key":%s,"value":%s}' % pair for pair in pairs)


def response(status: int, kind: bytes, body: bytes) -> bytes:
    """A whole HTTP answer. A batch is chunked, as what a server streams is; all its lines are ready at once, so they
    are one chunk."""
    reason = {200: b"OK", 400: b"Bad Request", 404: b"Not Found"}[status]
    head = b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\n" % (status, reason, kind)
    if kind is _LINES:
        return head + b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    return head + b"content-length: %d\r\n\r\n%s" % (len(body), body)


class Backend:
    """What all connections share."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._kept: dict[tuple[bytes, bytes], bytes] = {}
        self.delay = 0.0
        self._keys = b'{"keys":[]}'

    def answer(self, path: bytes, body: bytes) -> bytes:
        """The bytes to send back."""
        kept = self._kept.get((path, body))
        if kept is not None:
            return kept
        if path == b"/bench/delay":
            self.delay = float(body)
            return response(200, _JSON, b"{}")
        if path == b"/bench/keys":
            self._keys = body
            return response(200, _JSON, b"{}")
        if path == b"/.well-known/jwks.json":
            return response(200, _JSON, self._keys)
        made = response(*self._reads.answer(path.decode(), body))
        if len(self._kept) < KEPT:
            self._kept[path, body] = made
        return made


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, read by hand: the clients here are known and send whole requests."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        data = self._waiting + data if self._waiting else data
        while data:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                break
            length = _LENGTH.search(data, 0, end + 2)
            total = end + 4 + (int(length[1]) if length else 0)
            if len(data) < total:
                break
            path = data[data.index(b" ") + 1 : data.index(b" ", data.index(b" ") + 1)]
            answer = self._backend.answer(path, data[end + 4 : total])
            if self._backend.delay:
                asyncio.get_running_loop().call_later(self._backend.delay, self._transport.write, answer)
            else:
                self._transport.write(answer)
            data = data[total:]
        self._waiting = data


async def serve(port: int) -> None:
    """Serve until killed."""
    backend = Backend(Reads(build()))
    gc.collect()
    gc.freeze()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(backend), "127.0.0.1", port, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))

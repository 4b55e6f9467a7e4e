"""Values that are not there yet, without a task or a turn of the event loop for each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from functools import partial
from typing import Any


class Later:
    """Settled once, with a value or an error; who waits is called at once. It may be awaited, or left alone."""

    __slots__ = ("_calls", "error", "settled", "value")

    def __init__(self) -> None:
        self.settled = False
        self.value: Any = None
        self.error: BaseException | None = None
        self._calls: list[Callable[[Later], None]] = []

    def then(self, call: Callable[[Later], None]) -> None:
        """Call with this, now or when it is settled."""
        if self.settled:
            call(self)
        else:
            self._calls.append(call)

    def settle(self, value: Any, error: BaseException | None = None) -> None:
        """It is there; or never will be."""
        if self.settled:
            return
        self.settled, self.value, self.error = True, value, error
        calls, self._calls = self._calls, []
        for call in calls:
            call(self)

    def __await__(self) -> Generator[Any, Any, Any]:
        future = asyncio.get_running_loop().create_future()
        self.then(partial(_tell, future))
        yield from future
        if self.error is not None:
            raise self.error
        return self.value


def _tell(future: asyncio.Future[None], _: Later) -> None:
    if not future.done():
        future.set_result(None)


class All(Later):
    """A dictionary or list, once all in it that is awaited has come; the first error is its own."""

    __slots__ = ("_left", "_results")

    def __init__(self, results: Any, waiting: list[Any]) -> None:
        super().__init__()
        self._results = results
        self._left = len(waiting)
        for key in waiting:
            results[key].then(partial(self._came, key))

    def _came(self, key: Any, one: Later) -> None:
        if one.error is not None:
            self.settle(None, one.error)
            return
        self._results[key] = one.value
        self._left -= 1
        if not self._left:
            self.settle(self._results)

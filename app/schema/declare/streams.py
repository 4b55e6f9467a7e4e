"""`stream`: a field of Subscription, as one function that yields events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from app.auth.policy import Rows, Scope
from app.resolvers.loading.context import Context
from app.schema.declare.edges import Argument, EdgeField
from app.schema.declare.policy import declaration

Events = Callable[..., AsyncGenerator[Any, None]]


class StreamField(EdgeField):
    """A field whose value is each of the events that `events(ctx, **args)` yields, one after the other.

    The stream is read once; for each event its selection runs as an operation of its own, with a context made for it
    that carries the event.
    """

    is_subscription = True

    def __init__(
        self,
        events: Events,
        *,
        returns: Any,
        description: str,
        args: Mapping[str, Argument],
        directives: Sequence[object] = (),
    ) -> None:
        super().__init__(
            _event, returns=returns, description=description, args=args, is_root=True, directives=directives
        )
        self.events = events

    def __copy__(self) -> StreamField:
        returns, args, _ = self._declared
        copied = StreamField(
            self.events, returns=returns, description=self.description or "", args=args, directives=self.directives
        )
        copied.python_name = self.python_name
        copied.type_annotation = self.type_annotation
        copied.origin = self.origin
        return copied


async def _event(ctx: Context, **_: Any) -> Any:
    return ctx.event


def stream(
    events: Events,
    *,
    returns: Any,
    description: str,
    args: Mapping[str, Argument] | None = None,
    requires: Scope | None = None,
    rows: Rows | None = None,
) -> Any:
    """A field of Subscription whose events `events(ctx, **args)` yields; `requires` and `rows` as of an edge."""
    directives = declaration(requires, rows)
    return StreamField(events, returns=returns, description=description, args=args or {}, directives=directives)

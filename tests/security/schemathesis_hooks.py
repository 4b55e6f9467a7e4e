"""What schemathesis holds the gateway to; it loads this file in its own environment.

Its own check for GraphQL takes every error below `data` for one of the server's. Here an error of ours is one without a
reason that the caller can see: HTTP 5xx, the code INTERNAL, or an id of a failure to look up in the log.
"""

from __future__ import annotations

from typing import Any

import schemathesis  # pyright: ignore[reportMissingImports] - of the tools' own environment
from hypothesis import strategies
from schemathesis.graphql import nodes  # pyright: ignore[reportMissingImports]

TEXT = strategies.text(max_size=20)
SCALARS = {
    "Decimal": strategies.one_of(strategies.decimals(allow_nan=True).map(str), TEXT),
    "Date": strategies.one_of(strategies.dates().map(str), TEXT),
    "DateTime": strategies.one_of(strategies.datetimes(timezones=strategies.just(None)).map(str), TEXT),
    "Cursor": TEXT,
}
for _name, _values in SCALARS.items():
    schemathesis.graphql.scalar(_name, _values.map(nodes.String))


@schemathesis.check
def no_error_of_ours(ctx: Any, response: Any, case: Any) -> None:
    """Every answer is GraphQL's, and no error in it is the gateway's own."""
    assert response.status_code < 500, f"HTTP {response.status_code}: {response.text[:500]}"
    for error in response.json().get("errors", ()):
        extensions = error.get("extensions", {})
        assert extensions.get("code") not in {None, "INTERNAL"}, error
        assert "errorId" not in extensions, error

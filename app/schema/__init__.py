"""What clients see: types, inputs and descriptions, one file per domain."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import strawberry

    from app.auth.policy import PolicyTable


@cache
def build_schema() -> strawberry.Schema:
    """The schema of the graph, built once a process."""
    from app.schema.query import schema

    return schema()


@cache
def policy_of(schema: strawberry.Schema) -> PolicyTable:
    """Who may see what of it."""
    from app.schema.declare.policy import build_policy_table, collect_declarations

    return build_policy_table(collect_declarations(schema._schema))  # noqa: SLF001 - no other way to graphql-core's


def print_schema() -> str:
    """The SDL as it is committed in `schema.graphql`."""
    return build_schema().as_str() + "\n"

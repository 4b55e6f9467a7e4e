"""What clients see: types, inputs and descriptions, one file per domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import strawberry


def build_schema() -> strawberry.Schema:
    """The schema of the graph."""
    from app.schema.query import schema

    return schema()


def print_schema() -> str:
    """The SDL as it is committed in `schema.graphql`."""
    return build_schema().as_str() + "\n"

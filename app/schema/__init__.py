"""What clients see: types, inputs and descriptions, one file per domain."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import strawberry

    from app.auth.policy import PolicyTable
    from app.settings import Settings


def build_schema(settings: Settings | None = None) -> strawberry.Schema:
    """The schema of a deployment, built once a process; without settings that of the gateway as it comes. Raises
    ConfigurationError for a policy that would open a hole."""
    return _built("{}" if settings is None else settings.policy.model_dump_json(exclude_defaults=True))


@lru_cache(maxsize=16)
def _built(policy: str) -> strawberry.Schema:
    from app.schema.query import schema
    from app.settings import PolicySettings

    return schema(PolicySettings.model_validate_json(policy))


def policy_of(schema: strawberry.Schema) -> PolicyTable:
    """Who may see what of it."""
    from app.schema.declare.policy import POLICY

    return schema._schema.extensions[POLICY]  # noqa: SLF001 - no other way to graphql-core's


def print_schema(settings: Settings | None = None) -> str:
    """The SDL of a deployment; that of the gateway as it comes is committed in `schema.graphql`."""
    return build_schema(settings).as_str() + "\n"

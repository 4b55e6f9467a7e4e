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
    ConfigurationError for a policy that would open a hole, and for fields that cannot be."""
    if settings is None:
        return _built("{}", ())
    fields = tuple(one.model_dump_json() for one in settings.fields)
    return _built(settings.policy.model_dump_json(exclude_defaults=True), fields)


@lru_cache(maxsize=16)
def _built(policy: str, fields: tuple[str, ...]) -> strawberry.Schema:
    from app.schema.query import schema
    from app.settings import FieldSettings, PolicySettings

    return schema(
        PolicySettings.model_validate_json(policy), [FieldSettings.model_validate_json(one) for one in fields]
    )


def policy_of(schema: strawberry.Schema) -> PolicyTable:
    """Who may see what of it."""
    from app.schema.declare.policy import POLICY

    return schema._schema.extensions[POLICY]  # noqa: SLF001 - no other way to graphql-core's


def print_schema(settings: Settings | None = None) -> str:
    """The SDL of a deployment; that of the gateway as it comes is committed in `schema.graphql`."""
    return build_schema(settings).as_str() + "\n"

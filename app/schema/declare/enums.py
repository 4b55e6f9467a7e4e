"""GraphQL enums of Python enums."""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry
from strawberry.types.enum import StrawberryEnumDefinition


def enum(cls: type[Enum], description: str, *, name: str | None = None, **values: str) -> Any:
    """A GraphQL enum of a Python enum; every value has a description."""
    strawberry.enum(cls, name=name, description=description)
    definition: StrawberryEnumDefinition = cls.__strawberry_definition__  # type: ignore[attr-defined]
    for value in definition.values:
        value.description = values[value.name]
    return cls

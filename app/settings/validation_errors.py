"""Validation errors as one line: the key or variable that holds the value, the value, and the cure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from app.errors import ConfigurationError
from app.settings.suggestions import did_you_mean

HIDDEN = "(hidden)"
SECRET = re.compile("credential|secret|password|token|key")


def check_variable_names(prefix: str, environment: Mapping[str, str], known: Collection[str]) -> None:
    """Refuse a variable that looks like a mistyped setting. Other variables with the prefix are ignored."""
    for variable in sorted(environment):
        if not variable.upper().startswith(prefix):
            continue
        first, nested, _ = variable[len(prefix) :].lower().partition("__")
        if first in known or first == "config":
            continue
        if nested or get_close_matches(first, list(known), n=1, cutoff=0.8):
            raise ConfigurationError(variable, environment[variable], f"unknown setting; {did_you_mean(first, known)}")


def first_validation_error(
    error: ValidationError, model: type[BaseModel], environment: Mapping[str, str], prefix: str
) -> ConfigurationError:
    """The first validation error as one message. A value from a variable is named after it."""
    fault = error.errors(include_url=False)[0]
    location, value = fault["loc"], fault["input"]
    if location and location[-1] == "[key]":  # Of a table whose names are chosen by the deployment.
        location, value = location[:-1], location[-2]
    variable = _variable_of(location, environment, prefix)
    key = variable or _dotted(location)
    if fault["type"] == "extra_forbidden":
        known = _fields_at(model, location[:-1])
        return ConfigurationError(
            key, _redacted(location, fault["input"]), f"unknown setting; {did_you_mean(str(location[-1]), known)}"
        )
    if fault["type"] == "missing":
        return ConfigurationError(key, None, "is required and missing")
    text = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return ConfigurationError(key, _redacted(location, value), text)


def unreadable_variable(message: str, environment: Mapping[str, str], prefix: str) -> ConfigurationError:
    """A variable for a list or table that is not JSON. pydantic-settings names the section only, so the variable
    is the first of that section whose value is no JSON."""
    section = message.partition('field "')[2].partition('"')[0].upper()
    for variable in sorted(environment):
        path = variable.upper().removeprefix(prefix).split("__")
        if variable.upper().startswith(prefix) and path[0] == section and not _is_json(environment[variable]):
            value = _redacted(tuple(part.lower() for part in path), environment[variable])
            return ConfigurationError(variable, value, 'a list or table is written in JSON here, such as ["RS256"]')
    return ConfigurationError(f"{prefix}{section}", HIDDEN, message)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _redacted(location: tuple[int | str, ...], value: object) -> object:
    if isinstance(value, dict):
        return "{...}"
    secret = any(isinstance(part, str) and SECRET.search(part.lower()) for part in location)
    return HIDDEN if secret and not str(location[-1]).endswith("_file") else value


def _dotted(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _variable_of(location: tuple[int | str, ...], environment: Mapping[str, str], prefix: str) -> str | None:
    requested = prefix + "__".join(str(part) for part in location).upper()
    return next((variable for variable in environment if variable.upper() == requested), None)


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> Collection[str]:
    """The keys of the table at a location; names of entries and list indices are skipped."""
    current: Any = model
    for part in location:
        fields = getattr(current, "model_fields", {})
        current = _model_in(fields[part].annotation) if part in fields else current
    return tuple(getattr(current, "model_fields", {}))


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None

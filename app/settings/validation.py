"""What makes a wrong setting readable: the key or variable that holds it, the value, and the cure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from app.errors import ConfigurationError

if TYPE_CHECKING:
    from app.settings.root import Settings

HIDDEN = "(hidden)"
SECRET = re.compile("credential|secret|password|token|key")


def did_you_mean(word: str, known: Collection[str]) -> str:
    """` Did you mean 'tryton'?`, or what there is to choose from."""
    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known here: {', '.join(sorted(known))}" if known else "none is configured"


def check_address(url: str) -> str:
    """The address without a slash at its end; ValueError where no backend can be at it."""
    cure = "should be http:// or https:// with a host and nothing after the path, such as http://127.0.0.1:8069"
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.port == 0
    except ValueError:
        wrong = True
        parts = urlsplit("")
    if wrong or parts.query or parts.fragment or any(character.isspace() for character in url):
        raise ValueError(cure)
    return url.rstrip("/")


def check_host(name: str) -> str:
    """A host name as a `Host` header gives it, without its port; `*.example.com` stands for all below it."""
    if not re.fullmatch(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]", name):
        raise ValueError("should be a host name without a port, such as api.example.com or *.example.com")
    return name.lower()


def check_origin(origin: str) -> str:
    """An origin exactly as browsers send it; neither a path nor a wildcard."""
    if not re.fullmatch(r"https?://([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", origin):
        raise ValueError("should be an origin as browsers send it, such as https://shop.example.com")
    return origin


def check_network(network: str) -> str:
    """An address, or a network such as fd00::/8."""
    try:
        ip_network(network)
    except ValueError:
        raise ValueError("should be an address or a network, such as 127.0.0.1 or fd00::/8") from None
    return network


def check_variable_names(prefix: str, environment: Mapping[str, str], known: Collection[str]) -> None:
    """Refuse a variable that looks like a mistyped setting. Platforms add others by our prefix; those are let be."""
    for variable in sorted(environment):
        if not variable.upper().startswith(prefix):
            continue
        first, nested, _ = variable[len(prefix) :].lower().partition("__")
        if first in known or first == "config":
            continue
        if nested or get_close_matches(first, list(known), n=1, cutoff=0.8):
            raise ConfigurationError(variable, environment[variable], f"unknown setting; {did_you_mean(first, known)}")


def check_sources(settings: Settings) -> None:
    """Refuse domains and routes that name a source which is not configured."""
    known = settings.sources.keys()
    for name, domain in settings.domains.configured().items():
        for key, source in _named_sources(domain):
            _check_source(f"domains.{name}.{key}", source, known)
    for index, route in enumerate(settings.routes):
        _check_source(f"routes[{index}].source", route.source, known)


def _check_source(key: str, source: str, known: Collection[str]) -> None:
    if source not in known:
        cure = f"no source of that name under [sources]; {did_you_mean(source, known)}"
        raise ConfigurationError(key, source, cure)


def _named_sources(domain: Any) -> Iterable[tuple[str, str]]:
    yield "master", domain.master
    for key in ("enrich", "reservations"):
        for index, source in enumerate(getattr(domain, key, ())):
            yield f"{key}[{index}]", source
    for warehouse, source in getattr(domain, "balances", {}).items():
        yield f"balances.{warehouse}", source


def read_secret(key: str, path: Path, base: Path) -> str:
    """What the file holds, without the white space around it. `base` is where relative paths start."""
    file = base / path
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        cure = f"cannot be read ({reason}); make the file {file} or correct the path"
        raise ConfigurationError(key, str(path), cure) from None
    if not text:
        raise ConfigurationError(key, str(path), f"is empty; write the secret into {file}")
    return text


def first_validation_error(
    error: ValidationError, model: type[BaseModel], environment: Mapping[str, str], prefix: str
) -> ConfigurationError:
    """The first of pydantic's findings, as one message. A value that came by a variable is shown under its name."""
    fault = error.errors(include_url=False)[0]
    place = fault["loc"]
    variable = _variable_of(place, environment, prefix)
    key = variable or _dotted(place)
    if fault["type"] == "extra_forbidden":
        known = _fields_at(model, place[:-1])
        return ConfigurationError(
            key, _shown(place, fault["input"]), f"unknown setting; {did_you_mean(str(place[-1]), known)}"
        )
    if fault["type"] == "missing":
        return ConfigurationError(key, None, "is required and missing")
    text = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return ConfigurationError(key, _shown(place, fault["input"]), text)


def unreadable_variable(message: str, environment: Mapping[str, str], prefix: str) -> ConfigurationError:
    """A variable for a list or table that is not JSON. pydantic-settings names the section only, so the variable
    is the first of that section whose value is no JSON."""
    section = message.partition('field "')[2].partition('"')[0].upper()
    for variable in sorted(environment):
        path = variable.upper().removeprefix(prefix).split("__")
        if variable.upper().startswith(prefix) and path[0] == section and not _is_json(environment[variable]):
            value = _shown(tuple(part.lower() for part in path), environment[variable])
            return ConfigurationError(variable, value, 'a list or table is written in JSON here, such as ["RS256"]')
    return ConfigurationError(f"{prefix}{section}", HIDDEN, message)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _shown(place: tuple[int | str, ...], value: object) -> object:
    if isinstance(value, dict):
        return "{...}"
    secret = any(isinstance(part, str) and SECRET.search(part.lower()) for part in place)
    return HIDDEN if secret and not str(place[-1]).endswith("_file") else value


def _dotted(place: tuple[int | str, ...]) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _variable_of(place: tuple[int | str, ...], environment: Mapping[str, str], prefix: str) -> str | None:
    wanted = prefix + "__".join(str(part) for part in place).upper()
    return next((variable for variable in environment if variable.upper() == wanted), None)


def _fields_at(model: type[BaseModel], place: tuple[int | str, ...]) -> Collection[str]:
    """The keys that the table at `place` may have; names of entries and places in lists are stepped over."""
    current: Any = model
    for part in place:
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

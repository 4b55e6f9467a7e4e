"""`./run init`: write a commented `tradegraph.toml` for chosen vendors, and check it."""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.auth.demo import AUDIENCE, ISSUER, KEY_FILE, demo_key
from app.errors import ConfigurationError
from app.settings import DomainSettings, settings_of_table
from app.sources.wiring import ENRICHED, VENDORS, connect_all

if TYPE_CHECKING:
    from app.settings import Settings, SourceSettings
    from app.sources.config_template import ConfigTemplate

NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
TRIAL_KEY = Path(".tradegraph") / KEY_FILE
"""The secret of `./run token`, in the default data folder."""

HEAD = """\
# Configuration of the gateway, written by `./run init`. Every key: docs/configuration.md.
# A variable overrides a key: TRADEGRAPH_SERVER__PORT=9000 is `port` in [server].
"""
SERVER = """\
[server]
host = "127.0.0.1"  # "0.0.0.0" for all interfaces, behind a proxy with TLS: docs/deploying.md
port = 8000
"""
TRIAL_AUTH = f"""\
# Tokens of `./run token` are accepted, for a trial. In production delete `demo = true` at the top and name your issuer:
#   issuer = "https://login.example.com/"
#   audience = "tradegraph"
# Its keys are found by its discovery document (docs/authentication.md).
[auth]
issuer = "{ISSUER}"
audience = "{AUDIENCE}"
algorithms = ["HS256"]
secret_file = "{TRIAL_KEY}"
"""
AUTH = """\
# Who may call, and as what: docs/authentication.md. Keys are found by the issuer's discovery document.
[auth]
issuer = "$issuer"
audience = "$audience"
# claims = { roles = "realm_access.roles", customers = "customers" }
"""
DOMAINS = """\
# Which source is the system of record of a kind of data (`master`), and which ones add to it (`enrich`).
# A domain that is left out is answered by no source: its fields are null with NOT_SUPPORTED.
[domains]
"""


@dataclass(frozen=True, slots=True)
class ChosenSource:
    """A source to write into the file."""

    name: str
    template: ConfigTemplate
    url: str | None
    ports: tuple[str, ...]

    def text(self) -> str:
        return self.template.text(name=self.name, url=self.url, ports=self.ports)


def choose(
    vendors: Sequence[str], urls: Mapping[str, str] | None = None, ports: Mapping[str, str] | None = None
) -> list[ChosenSource]:
    """The sources for `VENDOR` or `NAME=VENDOR`; `urls` and `ports` (with commas) are by name. Raises
    ConfigurationError."""
    urls, ports = dict(urls or {}), dict(ports or {})
    chosen: dict[str, ChosenSource] = {}
    for given in vendors:
        first, separator, second = given.partition("=")
        template = _template(second if separator else first)
        name = first if separator else template.name if template.name not in chosen else first
        if not NAME.fullmatch(name) or name in chosen:
            raise ConfigurationError(
                "--vendor", given, "a source needs a name of its own: NAME=VENDOR, in small letters"
            )
        chosen[name] = ChosenSource(name, template, urls.pop(name, None), _ports(template, name, ports.pop(name, None)))
    for option, left in (("--url", urls), ("--ports", ports)):
        if left:
            cure = f"no source of that name; there are {', '.join(chosen)}"
            raise ConfigurationError(option, next(iter(left)), cure)
    return list(chosen.values())


def _template(vendor: str) -> ConfigTemplate:
    if vendor not in VENDORS:
        raise ConfigurationError("--vendor", vendor, f"no such vendor; choose from {', '.join(VENDORS)}")
    return import_module(f"{VENDORS[vendor]}.config_template").TEMPLATE


def _ports(template: ConfigTemplate, name: str, given: str | None) -> tuple[str, ...]:
    if given is None:
        return template.ports
    requested = [port.strip() for port in given.split(",")]
    for port in requested:
        if port not in template.ports:
            cure = f"no such port of this vendor; choose from {', '.join(template.ports)}"
            raise ConfigurationError("--ports", f"{name}={port}", cure)
    return tuple(port for port in template.ports if port in requested)


def configuration(sources: Sequence[ChosenSource], *, issuer: str | None = None, audience: str = "tradegraph") -> str:
    """The text of the file. Without an issuer tokens of `./run token` are accepted."""
    if issuer is None:
        auth, top = TRIAL_AUTH, "demo = true  # accept tokens of ./run token\n"
    else:
        auth, top = AUTH.replace("$issuer", issuer).replace("$audience", audience), ""
    parts = [HEAD + top, SERVER, auth, *(source.text() for source in sources), DOMAINS + _domains(sources)]
    return "\n".join(parts)


def _domains(sources: Sequence[ChosenSource]) -> str:
    lines = []
    for domain in DomainSettings.model_fields:
        able = [source for source in sources if domain in source.ports]
        if able:
            masters = [source for source in able if domain not in source.template.adds_to]
            master = (masters or able)[0]
            others = [source.name for source in able if source is not master]
            lines.append(f"{domain} = {{ {', '.join(_domain(domain, master, others, sources))} }}")
            if domain == "stock":
                lines += [
                    f'# For a warehouse run by {source.name} add to `stock`: balances = {{ CODE = "{source.name}" }}'
                    for source in sources
                    if "balances" in source.ports
                ]
    return "\n".join(lines) + "\n"


def _domain(domain: str, master: ChosenSource, others: Sequence[str], sources: Sequence[ChosenSource]) -> Iterable[str]:
    yield f'master = "{master.name}"'
    if others and domain in ENRICHED:
        yield f"enrich = [{_listed(others)}]"
    if domain == "stock" and (able := [source.name for source in sources if "reservations" in source.ports]):
        yield f"reservations = [{_listed(able)}]"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def check(text: str, base: Path) -> Settings:
    """The settings that the text stands for, with sources connected but not called. Credentials of files that do not
    exist yet are assumed. Raises ConfigurationError."""
    settings = settings_of_table(_with_secrets(tomllib.loads(text), base), base)

    async def connect() -> None:
        await connect_all(settings).close()

    asyncio.run(connect())
    return settings


def configured_sources(
    chosen: Sequence[ChosenSource], more: Mapping[str, object], base: Path = Path()
) -> Mapping[str, SourceSettings]:
    """The settings of sources as the file would have them, with `more` keys in each table and assumed credentials."""
    table = _with_secrets(tomllib.loads(configuration(chosen)), base)
    for source in table["sources"].values():
        source.update(more)
    return settings_of_table({"sources": table["sources"]}, base).sources


def _with_secrets(table: dict[str, Any], base: Path) -> dict[str, Any]:
    for source in table["sources"].values():
        source["credentials"] = _with_assumed_secrets(source.get("credentials", {}), base)
    return table


def _with_assumed_secrets(credentials: Mapping[str, str], base: Path) -> dict[str, str]:
    """The credentials, with a placeholder for those whose file does not exist."""
    missing = [key for key, value in credentials.items() if key.endswith("_file") and not (base / value).is_file()]
    return {key.removesuffix("_file") if key in missing else key: value for key, value in credentials.items()}


def missing_secrets(text: str, base: Path) -> list[tuple[str, str]]:
    """Source and path of each secret file that does not exist yet."""
    tables: dict[str, Any] = tomllib.loads(text)["sources"]
    return [
        (name, path)
        for name, source in tables.items()
        for key, path in source.get("credentials", {}).items()
        if key.endswith("_file") and not (base / path).is_file()
    ]


def write_configuration(sources: Sequence[ChosenSource], output: Path, *, issuer: str | None, audience: str) -> str:
    """Write the checked file and return what to do next. Raises ConfigurationError; nothing is overwritten."""
    base = output.parent
    if output.exists():
        raise ConfigurationError("--output", str(output), "exists; name another file, or move it away")
    text = configuration(sources, issuer=issuer, audience=audience)
    try:
        if issuer is None:
            demo_key(base / TRIAL_KEY.parent)
        settings = check(text, base)
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigurationError("--output", str(output), f"cannot be written ({error.strerror})") from None
    return "\n".join(_next_steps(text, output, settings, trial=issuer is None))


def _next_steps(text: str, output: Path, settings: Settings, *, trial: bool) -> Iterable[str]:
    config = "" if str(output) == "tradegraph.toml" else f" --config {output}"
    secrets = missing_secrets(text, output.parent)
    yield f"written and checked: {output}"
    yield ""
    yield f"1. Read it: addresses, {'`serves`, ' if 'serves' in text else ''}options and domains are assumptions."
    if secrets:
        yield "2. Write the secrets, each into a file that only you can read (chmod 600):"
        yield from (f"     {output.parent / path}   for {name}" for name, path in secrets)
    else:
        yield "2. The secret files exist."
    yield f"3. ./run sources ping{config}"
    yield f"4. ./run serve{config}"
    if trial:
        address = f"http://{settings.server.host}:{settings.server.port}"
        yield f"5. curl -s {address}/graphql -H 'Content-Type: application/json' \\"
        folder = output.parent / TRIAL_KEY.parent
        yield f'     -H "Authorization: Bearer $(./run token --role operations --data-dir {folder})" \\'
        yield '     -d \'{"query": "{ sources { name health } }"}\''

"""`./run contract`: the `rest` contract that in-house systems implement."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from app.errors import ConfigurationError
from app.settings.validation import check_address

if TYPE_CHECKING:
    from app.sources.rest.conformance import CheckResult, PortResult
    from app.sources.rest.sample_keys import KeyKind

contract = typer.Typer(help="The REST contract for in-house systems.", no_args_is_help=True)


@contract.command("test")
def check_backend(
    url: Annotated[str, typer.Argument(help="The base URL of the system, such as https://erp.example.com/gateway.")],
    token: Annotated[str, typer.Option(envvar="TOKEN", help="The bearer token of the system; else $TOKEN.")],
    port: Annotated[
        list[str] | None, typer.Option(help="A port that the system must serve; may be repeated. Default: any.")
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(help="A key that the system holds, such as order=SO-100040; may be repeated."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """Read every port of a system as the gateway does, and print what passes, fails or is missing.

    Exits with 1 if a check fails, or if a port named by --port is not served or could not be tested."""
    from app.sources.rest.conformance import Outcome, run_conformance
    from app.telemetry import configure_logs

    configure_logs(form="console", level="critical")
    address, ports = _address(url), _ports(port)
    results = asyncio.run(run_conformance(address, token, ports, _keys(key or ())))
    if json:
        print(orjson.dumps([_as_json(address, one) for one in results], option=orjson.OPT_INDENT_2).decode())
    else:
        print("\n".join(line for one in results for line in _lines(address, one)))
    unproved = {one.port for one in results if one.outcome in {Outcome.MISSING, Outcome.UNTESTED}}
    nothing = not any(one.outcome is Outcome.PASS for one in results)
    if nothing or any(one.outcome is Outcome.FAIL for one in results) or unproved & set(port or ()):
        raise typer.Exit(1)


def _address(url: str) -> str:
    try:
        return check_address(url)
    except ValueError as error:
        raise ConfigurationError("URL", url, str(error)) from None


def _ports(names: Sequence[str] | None) -> tuple[str, ...]:
    from app.sources.rest.contract import PORTS

    for name in names or ():
        if name not in PORTS:
            raise ConfigurationError("--port", name, f"choose from {', '.join(PORTS)}")
    return tuple(port for port in PORTS if names is None or port in names)


def _keys(given: Iterable[str]) -> list[tuple[KeyKind, str]]:
    from app.sources.rest.sample_keys import GIVEN

    kinds = {kind.name: kind for kind in GIVEN}
    found = []
    for text in given:
        name, separator, key = text.partition("=")
        if name not in kinds or not separator or not key:
            raise ConfigurationError("--key", text, f"should be KIND=KEY, with a kind of {', '.join(kinds)}")
        found.append((kinds[name], key))
    return found


def _lines(address: str, result: PortResult) -> Iterable[str]:
    """A line for the port, and one with its request for each check that did not pass."""
    passed = sum(check.outcome == "pass" for check in result.checks)
    head = f"{result.port:<14}{result.outcome.value:<10}"
    if result.outcome == "missing":
        yield f"{head}not served: leave it out of options.serves"
        return
    yield f"{head}{passed} of {len(result.checks)} checks passed"
    for check in result.checks:
        if check.outcome != "pass":
            yield f"    {check.outcome.value}: {check.operation}, {check.check}: {_cure(check)}"
            if check.outcome == "fail" and (repeat := curl(address, check)) is not None:
                yield f"      {repeat}"


def _cure(check: CheckResult) -> str:
    if check.outcome != "missing":
        return check.detail or ""
    if check.check == "batch":
        return "the system has no /v1/batch: set options.batch = false for it"
    return f"not served, and other operations of {check.port} are"


def curl(address: str, check: CheckResult) -> str | None:
    """The command that repeats a check's request; the token is read from $TOKEN."""
    if check.request is None:
        return None
    method, path, body = check.request
    words = ["curl", "-sS", "-X", method, f"{address}{path}"]
    command = f'{shlex.join(words)} -H "Authorization: Bearer $TOKEN"'
    if body is None:
        return command
    return f"{command} -H 'Content-Type: application/json' --data-raw {shlex.quote(body.decode())}"


def _as_json(address: str, result: PortResult) -> dict[str, Any]:
    checks = [
        {
            "operation": check.operation,
            "check": check.check,
            "outcome": check.outcome.value,
            **({"detail": _cure(check)} if check.outcome != "pass" else {}),
            **({"repeat": repeat} if (repeat := curl(address, check)) is not None else {}),
        }
        for check in result.checks
    ]
    return {"port": result.port, "outcome": result.outcome.value, "checks": checks}

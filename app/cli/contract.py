"""`./run contract`: the `rest` contract that in-house systems implement."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from app.errors import ConfigurationError
from app.settings.validation import check_address

if TYPE_CHECKING:
    from app.sources.wiring import PortConformance

contract = typer.Typer(help="The REST contract for in-house systems.", no_args_is_help=True)


@contract.command("test")
def check_backend(
    url: Annotated[str, typer.Argument(help="Base URL of the system, such as https://erp.example.com/gateway.")],
    token: Annotated[str, typer.Option(envvar="TOKEN", help="Bearer token of the system. Default: $TOKEN.")],
    port: Annotated[
        list[str] | None, typer.Option(help="Port that the system must serve; repeatable. Default: any.")
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(help="Key that the system holds, such as order=SO-100040; repeatable."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Read every port of a system as the gateway does, and print each check as passed, failed or missing.

    Exits with 1 if a check fails, or if a port named by --port is not served or could not be tested."""
    from app.sources.wiring import check_conformance
    from app.telemetry import configure_logs

    configure_logs(form="console", level="critical")
    address = _address(url)
    results = check_conformance(address, token, port, key or ())
    if json:
        print(orjson.dumps([_as_json(address, one) for one in results], option=orjson.OPT_INDENT_2).decode())
    else:
        print("\n".join(line for one in results for line in _lines(address, one)))
    outcomes = {one.port: one.outcome.value for one in results}
    unproved = {name for name, outcome in outcomes.items() if outcome in {"missing", "untested"}}
    if "pass" not in outcomes.values() or "fail" in outcomes.values() or unproved & set(port or ()):
        raise typer.Exit(1)


def _address(url: str) -> str:
    try:
        return check_address(url)
    except ValueError as error:
        raise ConfigurationError("URL", url, str(error)) from None


def _lines(address: str, result: PortConformance) -> Iterable[str]:
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


def _cure(check: Any) -> str:
    if check.outcome != "missing":
        return check.detail or ""
    if check.check == "batch":
        return "the system has no /v1/batch: set options.batch = false for it"
    return f"not served, and other operations of {check.port} are"


def curl(address: str, check: Any) -> str | None:
    """The command that repeats a check's request; the token is read from $TOKEN."""
    if check.request is None:
        return None
    method, path, body = check.request
    words = ["curl", "-sS", "-X", method, f"{address}{path}"]
    command = f'{shlex.join(words)} -H "Authorization: Bearer $TOKEN"'
    if body is None:
        return command
    return f"{command} -H 'Content-Type: application/json' --data-raw {shlex.quote(body.decode())}"


def _as_json(address: str, result: PortConformance) -> dict[str, Any]:
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

"""The command line. `./run` makes the environment and calls it; installed, it is `tradegraph`."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn, TypeVar

import orjson
import typer

from app.auth.principal import Principal, Role
from app.cli.audit import audit
from app.cli.brokers import brokers
from app.cli.contract import contract
from app.cli.documents import check_against_documents, documents
from app.cli.endpoints import endpoints
from app.cli.events import events
from app.cli.files import files
from app.cli.intake import intake
from app.cli.keys import keys
from app.cli.prices import prices
from app.cli.sources import sources
from app.cli.stores import Config, json_object, roles_of
from app.cli.tables import check_printed
from app.errors import ConfigurationError
from app.settings import Settings
from app.workers.slot import WorkerRole

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
DATA_DIR = Path(".tradegraph")

app = typer.Typer(
    name="tradegraph",
    help="One GraphQL graph over an ERP, a commerce platform and logistics systems.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
schema = typer.Typer(help="The printed schema.", no_args_is_help=True)
policy = typer.Typer(help="Access policy: fields by role.", no_args_is_help=True)
app.add_typer(schema, name="schema")
app.add_typer(policy, name="policy")
app.add_typer(sources, name="sources")
app.add_typer(keys, name="keys")
app.add_typer(audit, name="audit")
app.add_typer(documents, name="documents")
app.add_typer(events, name="events")
app.add_typer(files, name="files")
app.add_typer(brokers, name="brokers")
app.add_typer(intake, name="intake")
app.add_typer(prices, name="prices")
app.add_typer(endpoints, name="endpoints")
app.add_typer(contract, name="contract")

Deployment = Annotated[
    Path | None, typer.Option("--config", help="Configuration file of a deployment. Default: the built-in settings.")
]
DataDir = Annotated[Path, typer.Option(help="Data folder of the demo, with its signing key.")]


@app.command()
def demo(
    port: Annotated[int, typer.Option(help="Port of the gateway; 0 selects a free port.", min=0, max=65535)] = 8000,
    data_dir: DataDir = DATA_DIR,
    backends: Annotated[str, typer.Option(help="sandbox (embedded) or real (Tryton, Vendure, Karrio).")] = "sandbox",
    further: Annotated[
        str, typer.Option("--with", help="Further real systems: medusa, odoo or medusa,odoo. Needs --backends real.")
    ] = "",
) -> None:
    """Start backends, gateway and IDE page, and print tokens and a request to paste."""
    from app.cli.demo import demo as run_demo
    from app.cli.real_systems import further_systems

    if backends not in {"sandbox", "real"}:
        raise ConfigurationError("--backends", backends, "choose sandbox or real")
    if further and backends != "real":
        raise ConfigurationError("--with", further, "the sandbox has no further systems; add --backends real")
    _stop_on_term()
    run_demo(port, data_dir, "real" if backends == "real" else "sandbox", further_systems(further))


@app.command()
def init(
    vendor: Annotated[
        list[str] | None, typer.Option(help="A vendor, or NAME=VENDOR to name the source; may be repeated.")
    ] = None,
    url: Annotated[list[str] | None, typer.Option(help="NAME=URL: the address of a source; may be repeated.")] = None,
    ports: Annotated[
        list[str] | None, typer.Option(help="NAME=PORT,PORT: the ports of a source, if not all; may be repeated.")
    ] = None,
    issuer: Annotated[
        str | None, typer.Option(help="The issuer of tokens. Default: those of `token` are accepted, for a trial.")
    ] = None,
    audience: Annotated[str, typer.Option(help="The audience of tokens.")] = "tradegraph",
    output: Annotated[Path, typer.Option(help="Output file; - is standard output.")] = Path("tradegraph.toml"),
) -> None:
    """Write a commented configuration for chosen vendors, and check it."""
    from app.cli.init import choose, configuration, write_configuration
    from app.sources.wiring import VENDORS

    if not vendor:
        raise ConfigurationError("--vendor", None, f"name one or more of {', '.join(VENDORS)}, such as --vendor rest")
    sources = choose(vendor, _by_name("--url", url), _by_name("--ports", ports))
    if str(output) == "-":
        sys.stdout.write(configuration(sources, issuer=issuer, audience=audience))
    else:
        print(write_configuration(sources, output, issuer=issuer, audience=audience))


def _by_name(option: str, given: list[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given or ():
        name, _, found[name] = text.partition("=")
    if wrong := next((name for name, value in found.items() if not value), None):
        raise ConfigurationError(option, wrong, "should be NAME=VALUE, with the name of a source")
    return found


@app.command()
def serve(config: Config = None) -> None:
    """Serve the configured graph."""
    from app.telemetry import log

    settings = _settings_of_server(config)
    server = settings.server
    if server.workers > 1 or server.background_worker:
        from app.protocol.listener import listen
        from app.workers.supervisor import supervise

        raise typer.Exit(supervise(settings, config, listen(settings)))
    from app.server import run

    _stop_on_term()
    run(settings, started=lambda: log.info("serving", host=server.host, port=server.port))


@app.command(hidden=True)
def worker(
    slot: Annotated[int, typer.Option(help="Index of this worker.")],
    of: Annotated[int, typer.Option(help="Number of workers.")],
    role: Annotated[WorkerRole, typer.Option(help="What this worker does.")],
    folder: Annotated[Path, typer.Option(help="Folder through which workers share metrics.")],
    listener: Annotated[int, typer.Option(help="File descriptor of the listening socket.")],
    control: Annotated[int, typer.Option(help="File descriptor of the socket to the supervisor.")],
    config: Config = None,
) -> None:
    """Run as one of several workers; `serve` starts them."""
    from app.server import run_worker
    from app.workers.slot import WorkerSlot

    settings = _settings_of_server(config)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # A terminal's end, or a word to the supervisor.
    _stop_on_term()
    own = WorkerSlot(slot, socket.socket(fileno=control), folder, role)
    run_worker(settings, own, of, socket.socket(fileno=listener))


def _settings_of_server(config: Path | None) -> Settings:
    """The settings, after logging is configured."""
    from app.settings import config_file, credentials_of, load
    from app.telemetry import configure_logs

    settings = load(config)
    if config_file(config) is None and not settings.sources:
        cure = "there is no tradegraph.toml here: write one with ./run init, or name another file with --config"
        raise ConfigurationError("config", None, f"{cure}. To try the gateway without one: ./run demo")
    configure_logs(form=settings.log.format, level=settings.log.level, stream=sys.stdout, hide=credentials_of(settings))
    return settings


@app.command()
def token(
    role: Annotated[list[str], typer.Option(help=f"One of {', '.join(Role)}; may be given again.")],
    subject: Annotated[str | None, typer.Option(help="Subject of the token.")] = None,
    customer: Annotated[list[str] | None, typer.Option(help="Customer number, such as CUST-0001; repeatable.")] = None,
    agent: Annotated[list[str] | None, typer.Option(help="Agent number, such as AG-01; repeatable.")] = None,
    ttl: Annotated[int, typer.Option(help="Lifetime in seconds.", min=1, max=30 * 86400)] = 3600,
    data_dir: DataDir = DATA_DIR,
    config: Config = None,
) -> None:
    """Print a bearer token for a demo gateway over the same data folder. Other gateways reject it."""
    from app.auth.demo import KEY_FILE, demo_auth, issue_demo_token
    from app.settings import load

    roles = sorted(roles_of(role, load(config)))
    if not (data_dir / KEY_FILE).is_file():
        cure = "no demo gateway keeps its key there; start the demo first, or name its folder with --data-dir"
        raise ConfigurationError("--data-dir", str(data_dir), cure)
    auth = demo_auth(data_dir)
    made = issue_demo_token(
        auth,
        roles=roles,
        subject=subject or f"demo-{role[0]}",
        customers=customer or (),
        agents=agent or (),
        ttl=ttl,
    )
    print(made)


@app.command()
def plan(
    file: Annotated[Path, typer.Argument(help="A GraphQL document.")],
    operation: Annotated[str | None, typer.Option(help="Operation name, required if the document has several.")] = None,
    variables: Annotated[str, typer.Option(help="Variables as JSON. Only `@skip` and `@include` use them.")] = "{}",
    config: Config = None,
) -> None:
    """Print the plan that a document is compiled to."""
    from app.cli.demo import settings_or_sandbox
    from app.execution.plan.printing import format_plan
    from app.gateway.explain.explainer import plan_of

    settings, given = settings_or_sandbox(config), json_object(variables, '{"orders": 20}')
    made = _print_refusals(file, lambda: plan_of(settings, _text(file), operation, given))
    if made is None:
        print("This operation is not compiled: graphql-core runs it field by field.", file=sys.stderr)
        raise typer.Exit(1)
    sys.stdout.write(format_plan(made))


@app.command()
def explain(
    file: Annotated[Path, typer.Argument(help="A GraphQL document.")],
    variables: Annotated[str, typer.Option(help="Variables as JSON.")] = "{}",
    role: Annotated[list[str] | None, typer.Option(help="Role of the caller; repeatable.")] = None,
    customer: Annotated[list[str] | None, typer.Option(help="Customer number of the caller; repeatable.")] = None,
    operation: Annotated[str | None, typer.Option(help="Operation name, required if the document has several.")] = None,
    lines: Annotated[int, typer.Option(help="Assumed lines of an order.", min=0, max=1000)] = 5,
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a tree.")] = False,
) -> None:
    """Print the backend calls of a document without making them. Without a configuration: over the demo's sandbox."""
    from app.cli.demo import settings_or_sandbox
    from app.gateway.explain.explainer import admission_outcome, explain_document
    from app.gateway.explain.simulated_records import Assumptions

    settings = settings_or_sandbox(config)
    principal = Principal("explain", frozenset(roles_of(role or ["csr"], settings)), frozenset(customer or ()))
    given, assume = json_object(variables, '{"orders": 20}'), Assumptions(lines=lines)
    found = _print_refusals(
        file, lambda: explain_document(settings, _text(file), given, principal, operation=operation, assume=assume)
    )
    if json:
        print(orjson.dumps(found.as_json(), option=orjson.OPT_INDENT_2).decode())
    else:
        print(found.as_text())
        print(admission_outcome(settings, found, principal))


def _text(file: Path) -> str:
    if not file.is_file():
        raise ConfigurationError("file", str(file), "there is no such file; name a GraphQL document")
    return file.read_text(encoding="utf-8")


def _print_refusals(file: Path, work: Callable[[], T]) -> T:
    """Print each error of a refused document with its position in the file."""
    from app.execution.engine import RequestRefused

    try:
        return work()
    except RequestRefused as refused:
        for error in refused.errors:
            positions = [f"{file}:{position.line}:{position.column}" for position in error.locations or ()]
            print(f"{positions[0] if positions else file}: {error.message}", file=sys.stderr)
        raise typer.Exit(1) from None


@schema.command("print")
def schema_print(
    to: Annotated[Path | None, typer.Option(help="Output file; - is standard output.")] = None,
    config: Deployment = None,
) -> None:
    """Write the schema of the code to `schema.graphql`, or that of a deployment to standard output."""
    from app.schema import print_schema

    to = to or (ROOT / "schema.graphql" if config is None else Path("-"))
    text = print_schema(_deployment(config))
    if str(to) == "-":
        sys.stdout.write(text)
        return
    to.write_text(text, encoding="utf-8")
    print(f"written: {to}", file=sys.stderr)


@schema.command("check")
def schema_check(
    file: Annotated[Path, typer.Argument(help="The printed schema.")] = ROOT / "schema.graphql",
    against: Annotated[
        str | None, typer.Option(help="documents: list the published documents that this schema breaks.")
    ] = None,
    old: Annotated[Path | None, typer.Option("--from", help="With --against: file of the schema served now.")] = None,
    config: Config = None,
    data_dir: Annotated[Path | None, typer.Option(help="With --against: data folder of the documents.")] = None,
) -> None:
    """Compare the printed schema with the code; fails and shows the difference where there is one, and where something
    is deprecated without a day of removal."""
    from app.gateway.documents.publishing.breaking_changes import undated_deprecations
    from app.schema import build_schema, print_schema

    if against not in {None, "documents"}:
        raise ConfigurationError("--against", against, "choose documents")
    if against is not None:
        check_against_documents(old, config, data_dir)
        return
    if names := undated_deprecations(build_schema()._schema):  # noqa: SLF001 - no other way to graphql-core's
        print(f"deprecated without a day of removal: {', '.join(names)}", file=sys.stderr)
        print("End the reason with it, such as: Use b instead. Removal: 2027-06-01.", file=sys.stderr)
        raise typer.Exit(1)
    if not file.is_file():
        raise ConfigurationError("schema", str(file), "there is no such file; make it with: schema print")
    check_printed(file, print_schema(), "The printed schema is not that of the code. Run: schema print")


def _deployment(config: Path | None) -> Settings:
    """The settings of a deployment; without a file those of the gateway as it comes, whatever is configured here."""
    from app.settings import load

    return Settings() if config is None else load(config)


@policy.command("matrix")
def policy_matrix(
    markdown: Annotated[bool, typer.Option("--markdown", help="Write the documentation page.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print every cell as JSON.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Fail if the page differs from the code.")] = False,
    to: Annotated[Path, typer.Option(help="File of the page.")] = ROOT / "docs" / "policy-matrix.md",
    config: Deployment = None,
) -> None:
    """Print fields by role, with row scopes and masks."""
    from app.schema import build_schema, policy_of
    from app.schema.declare.policy_matrix import as_json, as_markdown, as_text

    table = policy_of(build_schema(_deployment(config)))
    if check:
        check_printed(to, as_markdown(table), "The matrix is not that of the code. Look at what has changed, then run: "
              "policy matrix --markdown")  # fmt: skip
    elif json:
        print(orjson.dumps(as_json(table), option=orjson.OPT_INDENT_2).decode())
    elif markdown and config is not None:
        print(as_markdown(table), end="")
    elif markdown:
        to.write_text(as_markdown(table), encoding="utf-8")
        print(f"written: {to}", file=sys.stderr)
    else:
        print(as_text(table))


@policy.command("why")
def policy_explain_field(
    field: Annotated[str, typer.Argument(help="Field, such as Order.margin or CreditStatus.limit.")],
    role: Annotated[list[str], typer.Option(help="Role of the caller; repeatable.")],
    config: Deployment = None,
) -> None:
    """Explain what a role gets of a field, and which declarations decide it."""
    from app.schema import build_schema, policy_of
    from app.schema.declare.policy import collect_declarations
    from app.schema.declare.policy_matrix import why

    settings = _deployment(config)
    built = build_schema(settings)
    declared = collect_declarations(built._schema)  # noqa: SLF001 - no other way to graphql-core's
    print(why(field, frozenset(roles_of(role, settings)), policy_of(built), declared))


def _stop_on_term() -> None:
    """TERM ends the program as Ctrl-C does, through every `finally`: processes of the demo are stopped."""

    def stop(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)


def main(program: str = "tradegraph") -> None:
    """Run a command. A wrong setting is one line on standard error and exit code 2."""
    try:
        app(prog_name=program, standalone_mode=True)
    except ConfigurationError as error:
        print(f"tradegraph: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None

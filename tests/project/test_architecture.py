"""Who may import whom, who may touch the environment, what names and log events look like, how long a file may be.

The layers themselves are contracts of import-linter in pyproject.toml, run here too.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.sources.wiring import VENDORS as PACKAGES

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "app"
FILES = sorted(APP.rglob("*.py"))
VENDORS = sorted(ROOT / package.replace(".", "/") for package in PACKAGES.values())
# What a vendor's adapter may know beside the ports and itself.
VENDOR_MAY = {
    "app.http",
    "app.errors",
    "app.telemetry",
    "app.settings",
    "app.auth.principal",
    "app.sources.replica",
    "app.storage",
}
LONGEST = 500
LOG_EVENT = re.compile(r"[a-z]+(_[a-z0-9]+)*")
LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical"}
# Everyday words in place of terms: encode or describe, cache, subject, request, position, allocation say what is done.
EVERYDAY = {
    "told", "kept", "thing", "things", "asked", "stretch", "stretches", "purse", "verdict", "trouble", "elsewhere",
    "ours", "theirs", "mine", "took", "begun", "door", "seat", "lane", "courier", "office", "story", "dresser",
}  # fmt: skip
VAGUE = {"utils.py", "util.py", "helpers.py", "helper.py", "misc.py", "common_utils.py"}


def name_of(path: Path) -> str:
    """`app.http.client` for its file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str) -> Iterator[str]:
    """Every module that a source text imports, wherever in the text it does."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the layer"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(package: str) -> set[str]:
    """Modules of the app that import a package or something in it."""
    return {
        name_of(path)
        for path in FILES
        if any(f"{module}.".startswith(f"{package}.") for module in imports(path.read_text()))
    }


def foreign(vendor: str, source: str) -> list[str]:
    """What an adapter's text imports of the app and must not."""
    package = f"app.sources.{vendor}"
    ports = {f"app.sources.{path.stem}" for path in (APP / "sources").glob("*.py")} - {"app.sources.__init__"}
    allowed = ports - {"app.sources.wiring"} | VENDOR_MAY | {package}
    return [
        module
        for module in imports(source)
        if module.startswith("app.") and not any(f"{module}.".startswith(f"{one}.") for one in allowed)
    ]


def test_layers_hold():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-logo", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_environment_is_read_in_settings_only():
    readers = {name_of(path) for path in FILES if {"environ", "getenv"} & words(path)}
    assert readers <= {"app.settings.loading"}


def words(path: Path) -> set[str]:
    """Every name and attribute that the code of a file uses; text in strings and comments does not count."""
    tree = ast.parse(path.read_text())
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} | {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name)
    }


def test_redis_is_imported_by_its_store_and_the_budgets_only():
    assert importers("redis") <= {"app.storage.redis", "app.gateway.admission.redis_token_buckets"}


def test_httpx_fetches_an_identity_providers_documents_and_parses_urls():
    assert importers("httpx") == {"app.auth.fetching", "app.http.request"}


def test_strawberry_stays_in_schema_and_execution():
    allowed = ("app.schema", "app.execution", "app.resolvers")
    assert {name for name in importers("strawberry") if not name.startswith(allowed)} == set()


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda folder: folder.name)
def test_vendor_knows_its_ports_and_itself_only(vendor: Path):
    found = {name_of(path): foreign(vendor.name, path.read_text()) for path in sorted(vendor.rglob("*.py"))}
    assert {name: modules for name, modules in found.items() if modules} == {}


def test_vendor_guard_sees_a_foreign_import():
    source = "from app.sources.tryton.client import Client\nfrom app.sources.values import Money\nimport app.resolvers"
    assert foreign("karrio", source) == ["app.sources.tryton.client.Client", "app.resolvers"]


def test_only_the_table_of_sources_imports_vendor_folders():
    for vendor in VENDORS:
        package = f"app.sources.{vendor.name}"
        outside = {name for name in importers(package) if not f"{name}.".startswith(f"{package}.")}
        assert outside <= {"app.sources.wiring"} | {n for n in outside if n.startswith("app.sandbox.")}, vendor


def test_importing_has_no_side_effects():
    """Every module in a fresh interpreter: no socket, no thread, no environment, no file written."""
    probe = """
import sys, threading, os
opened = []
def watch(event, args):
    if event in ("socket.connect", "socket.bind", "subprocess.Popen", "sqlite3.connect"):
        opened.append(event)
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        opened.append(f"open {args[0]}")
sys.dont_write_bytecode = True
import importlib
before = dict(os.environ)
sys.addaudithook(watch)
for name in sys.argv[1:]:
    importlib.import_module(name)
assert not opened, opened
assert threading.active_count() == 1, threading.enumerate()
assert dict(os.environ) == before
"""
    names = [name_of(path) for path in FILES if path.name != "__main__.py"]
    done = subprocess.run([sys.executable, "-c", probe, *names], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("folder", ["app", "tests", "scripts"])
def test_no_file_is_too_long(folder: str):
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in (ROOT / folder).rglob("*.py")}
    assert {str(path): lines for path, lines in lengths.items() if lines > LONGEST} == {}


def test_every_module_has_a_telling_name_and_a_docstring():
    assert [name_of(path) for path in FILES if path.name in VAGUE] == []
    texts = [path for path in FILES if path.read_text().strip()]
    assert [name_of(path) for path in texts if not ast.get_docstring(ast.parse(path.read_text()))] == []


# Circles


def graph_of(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """The modules that each module imports, by its text: for type checkers and inside functions too."""
    return {
        name: {known(module, sources) for module in imports(source)} - {name, ""} for name, source in sources.items()
    }


def known(module: str, sources: Mapping[str, str]) -> str:
    """The module that `from module import name` loads: `name` where that is a module itself."""
    return next((one for one in (module, module.rpartition(".")[0]) if one in sources), "")


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules each of which imports all others of its group, directly or through others."""
    reached = {name: reachable(graph, name) for name in graph}
    groups = {frozenset(other for other in reached[name] if name in reached[other]) for name in graph}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def test_no_modules_import_each_other():
    assert circles(graph_of({name_of(path): path.read_text() for path in FILES})) == []


def test_circle_guard_sees_imports_for_type_checkers_and_inside_functions():
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from app.c import C"
    late = "def late():\n    from app import a"
    sources = {"app.a": "from app.b import B", "app.b": typed, "app.c": late, "app.d": "import app.a"}
    assert circles(graph_of(sources)) == [["app.a", "app.b", "app.c"]]


# Names


def layer_of(module: str) -> str:
    """What a class of this module may be of a noun of the business: its GraphQL type, its record, or neither."""
    if module.startswith("app.schema.") and not module.startswith("app.schema.declare"):
        return "type"
    ports = {f"app.sources.{path.stem}" for path in (APP / "sources").glob("*.py")}
    is_record = module in ports or module == "app.intake.records" or module.startswith("app.resolvers.")
    return "record" if is_record else module


def doubles(classes: Mapping[str, Sequence[str]]) -> set[str]:
    """Names that several classes have, other than one type and one record of the same noun."""
    return {
        name
        for name, modules in classes.items()
        if len(modules) > 1 and sorted(map(layer_of, modules)) != ["record", "type"]
    }


def test_no_two_classes_have_one_name():
    classes: dict[str, list[str]] = defaultdict(list)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                classes[node.name].append(name_of(path))
    assert doubles(classes) == set()


def test_guard_of_names_lets_a_type_have_its_records_name_only():
    assert doubles({
        "Order": ["app.schema.orders", "app.sources.orders"],
        "Edge": ["app.schema.base", "app.schema.declare.edges"],
        "Reader": ["app.http.response", "app.storage.sqlite"],
        "Item": ["app.schema.items", "app.sources.items", "app.sources.vendure.items"],
        "Change": ["app.resolvers.changes", "app.sources.changes"],
        "Only": ["app.server"],
    }) == {"Edge", "Reader", "Item", "Change"}  # fmt: skip


def names_of(source: str) -> Iterator[str]:
    """Every name that a source text gives: of classes, functions, parameters, variables and attributes."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
                | ast.arg(arg=name)
            ):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name


def everyday(source: str) -> set[str]:
    """Names with an everyday word in place of a term."""
    parts = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
    return {name for name in names_of(source) if EVERYDAY & {part.lower() for part in parts.findall(name)}}


def test_names_are_terms_of_the_field():
    found = {name_of(path): everyday(path.read_text()) for path in FILES}
    assert {name: names for name, names in found.items() if names} == {}


def test_guard_of_terms_sees_every_kind_of_name():
    source = "class ToldOffice: ...\ndef f(asked, fine): self._kept = THING = 1\n"
    source += "things, spoken = 1, 2\nasync def lane_of(): ..."
    assert everyday(source) == {"ToldOffice", "asked", "_kept", "THING", "things", "lane_of"}


# Log events


def log_events(source: str) -> Iterator[str]:
    """The event of each log call: its text, or its code where it is no literal."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and is_log(node.func.value):
            if node.func.attr in LOG_METHODS:
                yield literal(node.args[0])
            elif node.func.attr == "log":
                yield literal(node.args[1])


def is_log(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Name | ast.Attribute) and (node.id if isinstance(node, ast.Name) else node.attr) == "log"
    )


def literal(node: ast.expr) -> str:
    value: Any = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str) else f"({ast.unparse(node)})"


def test_log_events_are_ids_in_snake_case():
    found = {
        name_of(path): [one for one in log_events(path.read_text()) if not LOG_EVENT.fullmatch(one)] for path in FILES
    }
    foreign_logs = ["(record.getMessage())"]  # What libraries log by the standard library's logging.
    assert {name: those for name, those in found.items() if those} == {"app.telemetry.logs": foreign_logs}


def test_guard_of_log_events_sees_prose_and_built_texts():
    source = 'log.info("worker_ready", pid=1)\nlog.error("a worker slept")\ntelemetry.log.warning(f"{x}_failed")'
    assert [one for one in log_events(source) if not LOG_EVENT.fullmatch(one)] == [
        "a worker slept",
        "(f'{x}_failed')",
    ]


# TLS


def test_certificates_are_verified_everywhere():
    unverified = {"CERT_NONE", "_create_unverified_context"}
    assert {name_of(path) for path in FILES if unverified & words(path)} == set()
    switched_off = {"verify", "check_hostname", "verify_ssl"}
    found = {
        (name_of(path), ast.unparse(node.value))
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.keyword) and node.arg in switched_off
        if not isinstance(node.value, ast.Name | ast.Attribute)
    }
    assert found == set()

"""Who may import whom, who may touch the environment, and how long a file may be.

The layers themselves are contracts of import-linter in pyproject.toml, run here too.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "app"
FILES = sorted(APP.rglob("*.py"))
VENDORS = sorted(folder for folder in (APP / "sources").iterdir() if (folder / "client.py").exists())
# What a vendor's adapter may know beside the ports and itself.
VENDOR_MAY = {
    "app.http",
    "app.errors",
    "app.telemetry",
    "app.settings",
    "app.auth.principal",
}
LONGEST = 500
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

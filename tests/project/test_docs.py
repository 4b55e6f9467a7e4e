"""What the documentation says is so: its queries, its settings, its metrics, its links."""

from __future__ import annotations

import html
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from graphql import build_schema, parse, validate
from openapi_spec_validator import OpenAPIV31SpecValidator
from prometheus_client import Counter, Gauge, Histogram
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from app import settings
from app.cli.main import app
from app.sources.wiring import connect_all
from app.telemetry import Metrics
from tests.support.browser import browsing
from tests.upstreams import serve

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
EXAMPLES = sorted((DOCS / "examples").glob("*.toml"))
QUERY = re.compile(r"^```graphql\n(.*?)^```", re.DOTALL | re.MULTILINE)
FIELDS = re.compile(r"^```toml\n(\[\[fields\]\]\n.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


def queries() -> list:
    """Every GraphQL block, by page and place."""
    return [
        pytest.param(page, text, id=f"{page.stem}-{number}")
        for page in PAGES
        for number, text in enumerate(QUERY.findall(page.read_text()), 1)
    ]


def configured_fields(page: Path) -> str:
    """The fields that a page's configuration adds to the graph, as SDL."""
    tables = [tomllib.loads(text) for text in FIELDS.findall(page.read_text())]
    return "".join(
        f"\nextend type {field['type']} {{ {field['name']}: {field['scalar']} }}"
        for table in tables
        for field in table["fields"]
    )


@pytest.mark.parametrize(("page", "text"), queries())
def test_shown_query_is_valid(page: Path, text: str):
    schema = build_schema((ROOT / "schema.graphql").read_text() + configured_fields(page))
    assert validate(schema, parse(text)) == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_configuration_is_accepted(example: Path, tmp_path: Path):
    table = tomllib.loads(example.read_text())
    secrets = [*re.findall(r'_file = "([^"]+)"', example.read_text())]
    for name in secrets:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a demo secret\n")
    (tmp_path / "tradegraph.toml").write_text(example.read_text())
    loaded = settings.load(tmp_path / "tradegraph.toml")
    assert set(loaded.sources) == set(table["sources"])
    assert all(not key.endswith("_file") for source in loaded.sources.values() for key in source.credentials)
    assert set(connect_all(loaded).connected) == set(table["sources"])  # which reads nothing, and checks all options


def keys(model: type[BaseModel]) -> set[str]:
    """The settings of a section."""
    return set(model.model_fields)


def test_every_setting_is_described():
    text = (DOCS / "configuration.md").read_text()
    sections = [
        settings.ServerSettings,
        settings.ConnectionSettings,
        settings.TLSSettings,
        settings.AuthSettings,
        settings.AuditSettings,
        settings.RedisSettings,
        settings.CacheSettings,
        settings.DocumentSettings,
        settings.LogSettings,
        settings.TelemetrySettings,
        settings.SourceSettings,
        settings.SourceLimits,
        settings.WebhookSettings,
        settings.EventSettings,
        settings.BreakerSettings,
        settings.CallerSettings,
    ]
    assert all(f"[server.{name}]" in text for name in ("connections", "tls"))
    wanted = set().union(*map(keys, sections), keys(settings.DomainSettings)) | {"engine", "demo", "ide", "data_dir"}
    wanted -= {"connections", "tls", "limits", "breaker", "callers", "webhooks"}  # which are sections of their own
    assert {key for key in wanted if f"`{key}`" not in text} == set()


def test_every_metric_is_described_with_its_labels():
    text = (DOCS / "metrics.md").read_text()
    rows = dict(re.findall(r"^\| `(tradegraph_\w+)` \| ([^|]*) \|", text, re.MULTILINE))
    described = {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows.items()}
    registry = Metrics().registry
    kept = [one for one in registry._collector_to_names if isinstance(one, Counter | Gauge | Histogram)]
    names = {one: f"{one._name}_total" if isinstance(one, Counter) else one._name for one in kept}
    assert described == {name: tuple(one._labelnames) for one, name in names.items()}
    others = {family.name for family in registry.collect() if not family.name.startswith("tradegraph_")}
    assert set(re.findall(r"`((?:process|python)_\w+)`", text)) == others


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    missing = [target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert missing == ([] if page.name != "template.md" else missing)


def test_published_contract_is_valid_openapi():
    OpenAPIV31SpecValidator(yaml.safe_load((DOCS / "openapi.yaml").read_text())).validate()


def test_commands_shown_exist():
    usage = subprocess.run(["sh", ROOT / "run", "help"], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"^  (\w+)", usage, re.MULTILINE))
    shown = {word for page in PAGES for word in re.findall(r"\./run ([a-z]+)", page.read_text())}
    assert shown - known - {"help"} == set()


def shown_commands() -> list[tuple[str, list[str]]]:
    """The words of each command of the pages, by page; a line that goes on is one command."""
    return [
        (page.name, words.split())
        for page in PAGES
        for words in re.findall(r"\./run ([a-z][^`\n|#&]*)", page.read_text().replace("\\\n", " "))
    ]


def test_subcommands_and_options_shown_exist():
    root: Any = typer.main.get_command(app)
    wrong = []
    for page, words in shown_commands():
        command, rest = root.commands.get(words[0]), words[1:]
        while rest and rest[0] in getattr(command, "commands", {}):
            command, rest = command.commands[rest[0]], rest[1:]
        if command is None or hasattr(command, "commands"):
            continue  # Commands of the script alone, and groups named as a whole.
        options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        used = {word.strip(".,;:()'\"").partition("=")[0] for word in rest if word.startswith("--")}
        wrong += [(page, " ".join(words), name) for name in used - options - {"--help"}]
    assert wrong == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation, built."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def test_built_pages_have_no_raw_markers(site: Path):
    """Snippets and the contract are in the pages, not the markers that stand for them."""
    raw = re.compile(r"-{1,2}8<-|<!-- ?contract|\{[#:]|\[TOC\]")
    texts = {page.relative_to(site): _text_of(page.read_text()) for page in site.rglob("*.html")}
    assert {str(page): found for page, text in texts.items() if (found := raw.findall(text))} == {}
    assert 'vendor = "vendure"' in texts[Path("configuration.html")]
    assert "Example answer" in texts[Path("rest-contract.html")]
    for page in ("add-a-field", "add-a-vendor"):
        assert "diff --git" in texts[Path(f"howto/{page}.html")]


def _text_of(page: str) -> str:
    """The text of a page's article."""
    article = page.partition("<article")[2].partition("</article>")[0]
    comments = "".join(re.findall(r"<!--.*?-->", article, re.DOTALL))
    return html.unescape(re.sub(r"<[^>]*>", "", article)) + comments


async def test_pages_fit_a_phone_and_the_matrix_a_laptop(site: Path):
    server = Starlette(routes=[Mount("/", StaticFiles(directory=site))])
    widest = "[...document.querySelectorAll('.md-typeset__scrollwrap')].map(e => e.scrollWidth - e.clientWidth)"
    async with serve(server) as url, browsing() as page:
        await page.resize(390, 844)
        for name in ("configuration", "policy-matrix", "rest-contract", "howto/add-a-vendor"):
            await page.open(f"{url}/{name}.html")
            await page.until("document.querySelector('article code')")
            assert await page.run("document.documentElement.scrollWidth <= innerWidth"), name
            assert await page.run("getComputedStyle(document.querySelector('article code')).wordBreak") == "normal"
        await page.resize(1280, 900)
        await page.open(f"{url}/policy-matrix.html")
        await page.until("document.querySelector('.md-typeset__scrollwrap')")
        assert await page.run(f"Math.max(...{widest})") <= 0


def test_built_pages_fetch_nothing_from_elsewhere(site: Path):
    fetched = re.compile(r'<(?:(?:script|img|iframe|source)\b[^>]*\bsrc|link\b[^>]*\bhref)="(https?:[^"]+)')
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 15
    assert {str(page): hits for page in pages if (hits := fetched.findall(page.read_text()))} == {}

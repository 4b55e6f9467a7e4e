"""The IDE page: works in a browser, asks nobody else, and can be switched off."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from app.web.ide import ide_routes
from tests.support.browser import browsing
from tests.support.graphs import small_graph
from tests.support.serving import serving

STATIC = Path(__file__).resolve().parents[2] / "app" / "web" / "ide" / "static"
ANSWER = "document.querySelector('.result-window')?.innerText.replace(/\\u00a0/g, ' ')"


@pytest.fixture
async def gateway() -> AsyncIterator[str]:
    app = Starlette(routes=[Route("/graphql", small_graph(max_body_bytes=100_000)), *ide_routes()])
    async with serving(app) as url:
        yield url


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_query_is_typed_sent_and_answered_in_the_browser(gateway: str, tmp_path: Path):
    async with browsing() as page:
        await page.open(f"{gateway}/ide/#token=ann")
        await page.until("document.querySelector('.graphiql-query-editor .monaco-editor textarea, "
                         ".graphiql-query-editor .native-edit-context')")  # fmt: skip
        assert await page.run("location.hash") == ""
        assert await page.run("document.querySelector('input[name=token]').value") == "ann"
        await page.run("document.querySelector('.graphiql-query-editor .view-lines').dispatchEvent("
                       "new MouseEvent('mousedown', {bubbles: true}))")  # fmt: skip
        await page.run("document.querySelector('.graphiql-query-editor textarea, "
                       ".graphiql-query-editor .native-edit-context').focus()")  # fmt: skip
        await page.key("a", 65, ctrl=True)
        await page.type("{ who hello")
        await page.run("document.querySelector('.graphiql-execute-button').click()")
        answer = await page.until(f"({ANSWER} ?? '').includes('who') && {ANSWER}")
        (tmp_path / "ide.png").write_bytes(await page.picture())
        assert "".join(answer.split()) == '{"data":{"who":"ann","hello":"helloworld"}}'
        assert page.foreign() == []
        assert page.problems == []
        assert any(url.endswith("/graphql") for url in page.requests)


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_editor_and_response_are_below_each_other_on_a_phone(gateway: str):
    box = "JSON.parse(JSON.stringify(document.querySelector('%s').getBoundingClientRect()))"
    async with browsing() as page:
        await page.resize(390, 844)
        await page.open(f"{gateway}/ide/#token=ann")
        await page.until("!!document.querySelector('.graphiql-query-editor .view-lines')")
        await page.until("!!document.querySelector('.graphiql-response')")
        assert await page.run("document.documentElement.scrollWidth") <= 390
        editors, response = [await page.run(box % name) for name in (".graphiql-editors", ".graphiql-response")]
        assert min(editors["width"], response["width"]) >= 320
        assert min(editors["height"], response["height"]) >= 400
        assert editors["bottom"] <= response["top"] + 1
        await page.run("document.querySelector('[aria-label=\"Show Documentation Explorer\"]').click()")
        await page.until("!!document.querySelector('.graphiql-doc-explorer')")
        explorer = await page.run(box % ".graphiql-doc-explorer")
        assert explorer["width"] >= 300
        assert await page.run("document.documentElement.scrollWidth") <= 390


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_schema_is_reloaded_when_a_token_is_entered(gateway: str):
    async with browsing() as page:
        await page.open(f"{gateway}/ide/")
        await page.until("document.body.innerText.includes('no token: requests are refused')")
        await page.until("document.querySelector('.graphiql-query-editor .view-lines')")
        await page.run("document.querySelector('input[name=token]').focus()")
        await page.type("ann")
        await page.run("document.querySelector('[aria-label=\"Show Documentation Explorer\"]').click()")
        await page.until("document.querySelector('.graphiql-doc-explorer')?.innerText.includes('Subscription')")


async def test_page_is_served_under_a_strict_policy(gateway: str):
    async with httpx.AsyncClient(base_url=gateway) as client:
        page = await client.get("/ide/")
        home = await client.get("/")
    assert (home.status_code, home.headers["location"]) == (302, "ide/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    policy = page.headers["content-security-policy"].split("; ")
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy


async def test_assets_are_cacheable_and_served_unchanged(gateway: str):
    name = next((STATIC / "assets").glob("index-*.js.gz"))
    address = f"/ide/assets/{name.name.removesuffix('.gz')}"
    async with httpx.AsyncClient(base_url=gateway) as client:
        packed = await client.get(address, headers={"accept-encoding": "gzip, br"})
        plain = await client.get(address, headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) == name.stat().st_size
    assert packed.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "content-encoding" not in plain.headers
    assert plain.content == packed.content == gzip.decompress(name.read_bytes())


@pytest.mark.parametrize(
    "name", ["../settings.py", "..%2f..%2fsettings.py", "assets/", "absent.js", "index.html.gz", "%00"]
)
async def test_nothing_but_the_built_files_exists(gateway: str, name: str):
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{gateway}/ide/{name}")).status_code == 404


def test_built_page_is_small_and_names_no_other_host():
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 5_000_000
    assert "http" not in gzip.decompress((STATIC / "index.html.gz").read_bytes()).decode()
    assert (STATIC / "licenses.md.gz").exists()

"""The command line and the demo, as a person runs them."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from app.auth.demo import demo_auth, demo_key
from app.auth.principal import Principal, Role
from app.auth.tokens import TokenAuthenticator
from app.cli.demo import demo_settings
from app.cli.real_systems import Systems
from app.sandbox import Sandbox
from app.settings import DomainSettings
from app.sources.wiring import VENDORS

ROOT = Path(__file__).resolve().parents[2]


async def start(*arguments: str, cwd: Path) -> asyncio.subprocess.Process:
    # A runner that was started in the background ignores Ctrl-C, and its children would.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{listen}; import sys; sys.path.insert(0, {str(ROOT)!r}); from app.cli import main; main()"
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-c", program),
        *arguments,
        cwd=cwd,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(*arguments: str, cwd: Path) -> tuple[int | None, str, str]:
    process = await start(*arguments, cwd=cwd)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.fixture
def data_dir(sandbox: Sandbox, tmp_path: Path) -> Path:
    """A data folder in which the sandbox's data is built already."""
    (tmp_path / "sandbox").symlink_to(sandbox.data_dir)
    return tmp_path


@asynccontextmanager
async def running_demo(
    data_dir: Path, cwd: Path | None = None
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, str]]:
    port = free_port()
    process = await start("demo", "--port", str(port), "--data-dir", str(data_dir), cwd=cwd or data_dir)
    assert process.stdout is not None
    said = ""
    try:
        while "Ctrl-C stops everything." not in said:
            line = await asyncio.wait_for(process.stdout.readline(), 120)
            assert line, (await process.communicate())[1].decode()
            said += line.decode()
        yield process, f"http://127.0.0.1:{port}", said
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_demo_serves_what_it_prints_and_leaves_nothing_behind(data_dir: Path, number: int, code: int):
    async with running_demo(data_dir) as (process, url, said), httpx.AsyncClient() as client:
        assert (await client.get(f"{url}/readyz")).status_code == 200
        command = said[said.index("curl -s") : said.index("The same in the browser")]
        words = shlex.split(command.replace("\\\n", " "))
        headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
        answer = await client.post(words[2], headers=headers, content=words[words.index("-d") + 1])
        customer = answer.json()["data"]["customer"]
        assert "errors" not in answer.json()
        assert (words[2], customer["number"], len(customer["orders"]["edges"])) == (f"{url}/graphql", "CUST-0001", 5)
        assert set(re.findall(r"^  ([a-z_]+) +eyJ", said, re.MULTILINE)) == set(Role)
        page = await client.get(re.search(rf"{url}/ide/", said)[0])  # type: ignore[index]
        assert page.status_code == 200
        port = int(re.search(r"127.0.0.1:(\d+)", url)[1])  # type: ignore[index]
        process.send_signal(number)
        await asyncio.wait_for(process.wait(), 120)
    assert process.returncode == code
    with socket.create_server(("127.0.0.1", port)):
        pass


async def test_demo_shows_its_backends_refusals_and_webhooks_out(data_dir: Path):
    """In the folder in which the demo runs, its sources can be pinged; a refused token is in its log; a fault is
    injected by the command that it prints."""
    folder = data_dir / ".tradegraph"
    folder.mkdir()
    (folder / "sandbox").symlink_to(data_dir / "sandbox")
    async with running_demo(folder, cwd=data_dir) as (process, url, said), httpx.AsyncClient() as client:
        code, out, err = await run("sources", "ping", cwd=data_dir)
        assert (code, err) == (0, "")
        assert re.findall(r"^(\w+) .* ok$", out, re.MULTILINE) == ["commerce", "erp", "logistics"]
        refused = await client.post(f"{url}/graphql", json={"query": "{ a }"}, headers={"authorization": "Bearer x"})
        assert refused.status_code == 401
        erp = re.search(r"^  erp +(http\S+)$", said, re.MULTILINE)[1]  # type: ignore[index]
        fault = shlex.split(re.search(r"^  (curl .*errorRate.*)$", said, re.MULTILINE)[1])  # type: ignore[index]
        assert fault[fault.index("-H") + 2] == f"{erp}/sandbox/faults"
        headers = dict([fault[fault.index("-H") + 1].split(": ", 1)])
        set_ = await client.post(f"{erp}/sandbox/faults", content=fault[-1], headers=headers)
        assert [rule["resource"] for rule in set_.json()] == ["prices"]
        options = ("--client", "edi-1", "--data-dir", str(folder))
        endpoint = ("endpoints", "add", "http://127.0.0.1:9/hook", "--document", "none", "--customer", "CUST-0001")
        _, _, unknown = await run(*endpoint, *options, cwd=data_dir)
        assert "--document" in unknown  # The address is accepted.
        process.send_signal(signal.SIGINT)
        _, logged = await asyncio.wait_for(process.communicate(), 120)
    assert re.search(r"request .*status=401", logged.decode())
    assert not (folder / "demo.toml").exists()


def test_demo_may_post_to_this_machine_unless_the_environment_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = demo_settings(1, demo_auth(tmp_path), tmp_path, Systems({}, DomainSettings()))
    assert settings.endpoints.allowed_networks == ("127.0.0.0/8", "::1/128")
    assert (settings.server.port, settings.demo, settings.auth.issuer) == (1, True, "tradegraph-demo")
    monkeypatch.setenv("TRADEGRAPH_ENDPOINTS__ALLOWED_NETWORKS", '["10.0.0.0/8"]')
    settings = demo_settings(1, demo_auth(tmp_path), tmp_path, Systems({}, DomainSettings()))
    assert settings.endpoints.allowed_networks == ("10.0.0.0/8",)


async def test_port_in_use_is_reported_before_anything_starts(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = await run("demo", "--port", str(port), cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err == (
        f"tradegraph: server.port = {port}: cannot listen on 127.0.0.1:{port} (Address already in use); "
        "stop what does, or choose another port\n"
    )


async def test_token_of_a_folder_without_a_key_is_refused(tmp_path: Path):
    code, out, err = await run("token", "--role", "csr", "--data-dir", "elsewhere", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err == (
        "tradegraph: --data-dir = 'elsewhere': no demo gateway keeps its key there; start the demo first, or name its "
        "folder with --data-dir\n"
    )
    assert not (tmp_path / "elsewhere").exists()


async def test_folder_that_cannot_be_made_is_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("")
    code, out, err = await run("demo", "--port", "0", "--data-dir", "file/x", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err == "tradegraph: data_dir = 'file/x': cannot be made (Not a directory)\n"


@pytest.mark.parametrize("command", ["plan", "explain"])
async def test_refused_document_is_reported_in_full_with_positions(tmp_path: Path, command: str):
    (tmp_path / "a.graphql").write_text(
        '{\n  customer(by: {number: "C"}) { nam }\n  items(first: 1, frist: 1) { totalCount }\n}\n'
    )
    code, out, err = await run(command, "a.graphql", cwd=tmp_path)
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "a.graphql:2:33: Cannot query field 'nam' on type 'Customer'. Did you mean 'name'?",
        "a.graphql:3:19: Unknown argument 'frist' on field 'Query.items'. Did you mean 'first'?",
    ]


@pytest.mark.parametrize("command", ["bench", "check", "lock", "docs", "contract"])
async def test_help_describes_the_command_and_runs_nothing(command: str, tmp_path: Path):
    before = {path: path.stat().st_mtime_ns for path in (ROOT / "docs" / "openapi.yaml", ROOT / "requirements.lock")}
    process = await asyncio.create_subprocess_exec(
        ROOT / "run", command, "--help", cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert f"Usage: ./run {command} [" in out.decode()
    assert {path: path.stat().st_mtime_ns for path in before} == before


async def test_token_is_all_that_is_printed_and_is_believed(tmp_path: Path):
    demo_key(tmp_path)
    code, out, err = await run(
        *("token", "--role", "sales_rep", "--role", "buyer", "--customer", "CUST-0001", "--customer", "CUST-0002"),
        *("--subject", "ann", "--ttl", "60", "--data-dir", str(tmp_path)),
        cwd=tmp_path,
    )
    assert (code, err, out.count("\n")) == (0, "", 1)
    principal = await TokenAuthenticator(demo_auth(tmp_path), demo=True).authenticate(f"Bearer {out.strip()}")
    assert principal == Principal(
        subject="ann",
        roles=frozenset({Role.SALES_REP, Role.BUYER}),
        customers=frozenset({"CUST-0001", "CUST-0002"}),
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("token", "--role", "wizard"),
            f"--role = 'wizard': choose from {', '.join(Role)}",
        ),
        (("demo", "--backends", "cloud"), "--backends = 'cloud': choose sandbox or real"),
        (
            ("demo", "--with", "odoo"),
            "--with = 'odoo': the sandbox has no further systems; add --backends real",
        ),
        (("demo", "--backends", "real", "--with", "odoo,sap"), "--with = 'sap': choose from medusa, odoo"),
        (("serve", "--config", "no.toml"), "config = 'no.toml': there is no such file; name another with --config"),
        (
            ("sources", "ping"),
            "sources = None: none is configured, and no demo runs here; name a settings file with --config",
        ),
        (
            ("serve", "--config", "vendor.toml"),
            f"sources.erp.vendor = 'sapp': no such vendor; use one of {', '.join(sorted(VENDORS))}",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
async def test_wrong_use_is_one_line_with_the_cure(tmp_path: Path, arguments: tuple[str, ...], message: str):
    key = ECKey.generate_key("P-256", private=True)
    (tmp_path / "keys.json").write_text(json.dumps(KeySet([key]).as_dict(private=False)))
    (tmp_path / "vendor.toml").write_text(
        '[auth]\nissuer = "a"\naudience = "b"\nalgorithms = ["RS256"]\njwks_file = "keys.json"\n'
        '[sources.erp]\nvendor = "sapp"\nbase_url = "http://127.0.0.1:1"\n'
    )
    assert await run(*arguments, cwd=tmp_path) == (2, "", f"tradegraph: {message}\n")


async def test_sources_ping_shows_each_source(sandbox: Sandbox, tmp_path: Path):
    closed = free_port()
    (tmp_path / "tradegraph.toml").write_text(
        f'[sources.erp]\nvendor = "rest"\nbase_url = "{sandbox.erp}"\ncredentials = {{ token = "{sandbox.token}" }}\n'
        f'[sources.shop]\nvendor = "rest"\nbase_url = "http://127.0.0.1:{closed}"\ncredentials = {{ token = "x" }}\n'
        f'[sources.wrong]\nvendor = "rest"\nbase_url = "{sandbox.erp}"\ncredentials = {{ token = "x" }}\n'
    )
    code, out, err = await run("sources", "ping", cwd=tmp_path)
    assert (code, err) == (1, "")
    erp, shop, wrong = out.splitlines()
    assert re.fullmatch(r"erp    rest +\d+ ms  ok", erp)
    assert re.fullmatch(r"shop   rest +\d+ ms  SOURCE_UNAVAILABLE: .+", shop)
    assert re.fullmatch(r"wrong  rest +\d+ ms  SOURCE_REJECTED: .*401.*", wrong)


async def test_sources_ping_names_warehouses_that_do_not_exist(sandbox: Sandbox, tmp_path: Path):
    (tmp_path / "tradegraph.toml").write_text(
        f'[sources.erp]\nvendor = "rest"\nbase_url = "{sandbox.erp}"\ncredentials = {{ token = "{sandbox.token}" }}\n'
        '[domains]\nwarehouses = { master = "erp" }\n'
        'stock = { master = "erp", balances = { WH-WEST = "erp", WH-WST = "erp" } }\n'
    )
    code, _, err = await run("sources", "ping", cwd=tmp_path)
    assert (code, err) == (1, "domains.stock.balances.WH-WST: no warehouse has this code\n")


async def test_contract_test_reports_by_port(sandbox: Sandbox, tmp_path: Path):
    command = ("contract", "test", sandbox.logistics, "--token", sandbox.token)
    keys = (
        "--key",
        "customer=CUST-0001",
        "--key",
        "order=SO-100040",
        "--key",
        "warehouse=WH-WEST",
        "--key",
        "sku=SKU-0001",
    )
    code, out, err = await run(*command, *keys, cwd=tmp_path)
    lines = dict(line.split(maxsplit=1) for line in out.splitlines() if not line.startswith(" "))
    assert (code, err) == (0, "")
    assert lines["customers"] == "missing   not served: leave it out of options.serves"
    assert lines["shipments"] == "pass      27 of 27 checks passed"
    assert sandbox.token not in out
    code, out, err = await run(*command, "--port", "balances", "--json", cwd=tmp_path)
    assert (code, err) == (1, "")
    [balances, protocol] = json.loads(out)
    assert (balances["port"], balances["outcome"], protocol["outcome"]) == ("balances", "untested", "pass")
    assert [check["check"] for check in balances["checks"] if check["outcome"] == "pass"] == ["example"]


async def test_contract_test_refuses_wrong_arguments(tmp_path: Path):
    for arguments, message in (
        (("ftp://x",), "URL = 'ftp://x': should be http:// or https://"),
        (("http://x", "--port", "magic"), "--port = 'magic': choose from customers, credit,"),
        (("http://x", "--key", "order"), "--key = 'order': should be KIND=KEY, with a kind of customer, sku,"),
    ):
        code, out, err = await run("contract", "test", *arguments, "--token", "t", cwd=tmp_path)
        assert (code, out) == (2, "")
        assert err.startswith(f"tradegraph: {message}")


async def test_schema_check_finds_a_difference(tmp_path: Path):
    printed = tmp_path / "schema.graphql"
    assert (await run("schema", "print", "--to", str(printed), cwd=tmp_path))[0] == 0
    assert await run("schema", "check", str(printed), cwd=tmp_path) == (0, "", "")
    printed.write_text(printed.read_text().replace("type Query {", "type Query {\n  gone: Int\n", 1))
    code, out, err = await run("schema", "check", str(printed), cwd=tmp_path)
    assert code == 1
    assert "-  gone: Int" in out.splitlines()
    assert err == "The printed schema is not that of the code. Run: schema print\n"


async def test_serve_runs_a_settings_file(sandbox: Sandbox, tmp_path: Path):
    """As in production: a key set, JSON logs, no IDE page, no demo token believed."""
    key = RSAKey.generate_key(2048, {"kid": "k"}, private=True)
    (tmp_path / "keys.json").write_text(json.dumps(KeySet([key]).as_dict(private=False)))
    port = free_port()
    (tmp_path / "tradegraph.toml").write_text(
        f'[server]\nport = {port}\n[auth]\nissuer = "i"\naudience = "a"\njwks_file = "keys.json"\n'
        f'[sources.erp]\nvendor = "rest"\nbase_url = "{sandbox.erp}"\ncredentials = {{ token = "{sandbox.token}" }}\n'
        '[domains]\ncustomers = { master = "erp" }\n'
    )
    claims = {"iss": "i", "aud": "a", "sub": "s", "exp": 4_000_000_000, "roles": ["csr"]}
    token = jwt.encode({"alg": "RS256", "kid": "k"}, claims, key)
    process = await start("serve", cwd=tmp_path)
    assert process.stdout is not None
    try:
        while True:
            entry = json.loads(await asyncio.wait_for(process.stdout.readline(), 120))
            if entry["event"] == "serving":
                break
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            answer = await client.post(
                "/graphql",
                json={"query": '{ customer(by: {number: "CUST-0001"}) { number } }'},
                headers={"authorization": f"Bearer {token}"},
            )
            assert answer.json() == {"data": {"customer": {"number": "CUST-0001"}}}
            assert (await client.get("/ide/")).status_code == 404
            assert (await client.get("/")).status_code == 404
    finally:
        process.terminate()
        out, _ = await process.communicate()
    entries = [json.loads(line) for line in out.decode().splitlines()]
    [request] = [entry for entry in entries if entry["event"] == "request"]
    assert (request["outcome"], request["status"], request["backend_calls"]) == ("ok", 200, 1)
    assert process.returncode == 143

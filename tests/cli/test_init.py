"""`./run init`: what it writes is checked, and serves."""

from __future__ import annotations

import asyncio
import json
import tomllib
from pathlib import Path

import httpx
import pytest

from app.cli.init import check, choose, configuration
from app.errors import ConfigurationError
from app.sandbox import Sandbox
from app.sandbox.build import PORTS
from app.sources.wiring import VENDORS
from tests.cli.test_cli import free_port, run, start


@pytest.mark.parametrize("vendor", VENDORS)
def test_each_vendor_alone_is_a_configuration_that_starts(vendor: str, tmp_path: Path):
    text = configuration(choose([vendor]), issuer="https://login.example.com/")
    settings = check(text, tmp_path)
    [source] = settings.sources.values()
    assert (source.vendor, settings.demo) == (vendor, False)
    assert set(settings.domains.configured()) != set()
    assert (settings.auth.issuer, settings.auth.audience) == ("https://login.example.com/", "tradegraph")


def test_vendors_together_share_the_domains(tmp_path: Path):
    chosen = choose(
        ["tryton", "vendure", "karrio", "threepl=rest"],
        {"threepl": "https://3pl.example.com/api"},
        {"threepl": "balances"},
    )
    text = configuration(chosen, issuer="https://login.example.com/", audience="a")
    domains = tomllib.loads(text)["domains"]
    assert domains == {
        **{name: {"master": "erp"} for name in ("customers", "credit", "items", "warehouses", "prices", "billing")},
        **{name: {"master": "erp"} for name in ("receivables", "contacts", "quotes")},
        "contents": {"master": "shop"},
        "stock": {"master": "erp", "reservations": ["shop"]},
        "orders": {"master": "erp", "enrich": ["shop"]},
        "shipments": {"master": "erp", "enrich": ["parcels"]},
    }
    settings = check(text, tmp_path)
    assert settings.sources["threepl"].base_url == "https://3pl.example.com/api"
    assert settings.sources["threepl"].options["serves"] == ["balances"]


@pytest.mark.parametrize(
    ("vendors", "urls", "ports", "message"),
    [
        (
            ["sapp"],
            {},
            {},
            "--vendor = 'sapp': no such vendor; choose from rest, broker",
        ),
        (["a=rest", "a=rest"], {}, {}, "--vendor = 'a=rest': a source needs a name of its own"),
        (["A b=rest"], {}, {}, "--vendor = 'A b=rest': a source needs a name of its own"),
        (["rest"], {"shop": "http://x"}, {}, "--url = 'shop': no source of that name; there are erp"),
        (["rest"], {}, {"erp": "magic"}, "--ports = 'erp=magic': no such port of this vendor; choose from customers"),
    ],
)
def test_wrong_choice_is_refused(vendors: list[str], urls: dict[str, str], ports: dict[str, str], message: str):
    with pytest.raises(ConfigurationError) as caught:
        choose(vendors, urls, ports)
    assert str(caught.value).startswith(message)


async def test_wrong_address_is_refused_and_nothing_written(tmp_path: Path):
    code, out, err = await run("init", "--vendor", "rest", "--url", "erp=ftp://x", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith("tradegraph: sources.erp.base_url = 'ftp://x': should be http:// or https://")
    assert not (tmp_path / "tradegraph.toml").exists()


async def test_serve_without_a_file_names_init(tmp_path: Path):
    code, out, err = await run("serve", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err == (
        "tradegraph: config = None: there is no tradegraph.toml here: write one with ./run init, or name another file "
        "with --config. To try the gateway without one: ./run demo\n"
    )


async def test_what_init_writes_serves(sandbox: Sandbox, tmp_path: Path):
    ports = ",".join(PORTS["erp"])
    options = ("--vendor", "rest", "--url", f"erp={sandbox.erp}", "--ports", f"erp={ports}")
    code, out, err = await run("init", *options, cwd=tmp_path)
    assert (code, err) == (0, "")
    assert "secrets/erp-token   for erp" in out
    file = tmp_path / "tradegraph.toml"
    written = file.read_text()
    code, _, err = await run("init", *options, cwd=tmp_path)
    assert (code, file.read_text()) == (2, written)
    assert err == "tradegraph: --output = 'tradegraph.toml': exists; name another file, or move it away\n"

    code, _, err = await run("serve", cwd=tmp_path)
    assert (code, "make the file secrets/erp-token" in err) == (2, True)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "erp-token").write_text(sandbox.token)
    code, token, _ = await run("token", "--role", "csr", cwd=tmp_path)
    assert code == 0
    port = free_port()
    file.write_text(written.replace("port = 8000", f"port = {port}"))
    process = await start("serve", cwd=tmp_path)
    assert process.stdout is not None
    try:
        while json.loads(await asyncio.wait_for(process.stdout.readline(), 120))["event"] != "serving":
            pass
        async with httpx.AsyncClient() as client:
            answer = await client.post(
                f"http://127.0.0.1:{port}/graphql",
                json={"query": '{ customer(by: {number: "CUST-0001"}) { name creditStatus { state } } }'},
                headers={"authorization": f"Bearer {token.strip()}"},
            )
    finally:
        process.terminate()
        await process.communicate()
    assert answer.json() == {
        "data": {"customer": {"name": "Boltmaster Fabrication LLC", "creditStatus": {"state": "OK"}}}
    }

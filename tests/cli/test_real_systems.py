"""The demo over real systems, without them: small scripts in their place, and machines that lack something."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from app.auth.demo import demo_auth
from app.cli.demo import demo_settings, welcome
from app.cli.real_systems import (
    FURTHER_PORTS,
    Systems,
    check_tools,
    further_systems,
    running_systems,
    started_systems,
)
from app.errors import ConfigurationError
from app.settings import Settings, load
from app.sources.wiring import connect_all
from tests.support.backends import fake_backends

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "two-erps-two-shops.toml"


def seeded(folder: Path) -> Path:
    """A data folder in which the seed of Medusa has left its credentials."""
    (folder / "medusa").mkdir(parents=True)
    written = {"secret_key": "sk_hidden", "region": "reg_01", "shipping_option": "so_01"}
    (folder / "medusa" / "credentials.json").write_text(json.dumps(written))
    return folder


def settings_of(systems: Systems, folder: Path) -> Settings:
    return demo_settings(1, demo_auth(folder), folder, systems)


def test_systems_are_started_and_stopped_by_their_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    script = tmp_path / "up.sh"
    script.write_text(
        'trap "echo stopped >> $2/said; exit 143" TERM\necho "installing $4 into $2" | tee $2/said\n'
        'echo "password hidden-credentials"\necho "Ctrl-C stops them."\nwhile :; do sleep 0.05; done\n'
    )
    with started_systems(script, tmp_path / "data", ("medusa", "odoo")):
        assert (tmp_path / "data" / "said").read_text() == f"installing medusa,odoo into {tmp_path}/data\n"
    assert (tmp_path / "data" / "said").read_text().endswith("stopped\n")
    assert f"installing medusa,odoo into {tmp_path}/data\n" in capsys.readouterr().err


def test_systems_that_do_not_start_stop_the_demo(tmp_path: Path):
    script = tmp_path / "up.sh"
    script.write_text("echo 'port 8069 (tryton) is in use' >&2; exit 1\n")
    with pytest.raises(ConfigurationError) as caught, started_systems(script, tmp_path / "data"):
        pass
    assert str(caught.value) == "backends = 'real': did not start; the lines above and their logs say why"


def test_missing_tools_are_named_with_their_source():
    with pytest.raises(ConfigurationError) as caught:
        check_tools(lambda tool: None if tool in {"node", "curl"} else f"/usr/bin/{tool}")
    assert str(caught.value) == (
        "backends = 'real': needs what is not installed: curl (apt install curl); "
        "node (Node.js 20 or later: https://nodejs.org, or your system's package)"
    )


def test_graph_is_without_the_system_that_the_machine_lacks_something_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    script, ports = fake_backends(tmp_path, running=("medusa",), lacking=("odoo",))
    for name in ("tryton", "vendure", "karrio"):
        monkeypatch.setenv(f"{name.upper()}_PORT", str(ports[name]))
    data = tmp_path / "data"
    with started_systems(script, data, ("medusa", "odoo")):
        seeded(data / "seed")
        (data / "seed" / "medusa" / "credentials.json").rename(data / "medusa" / "credentials.json")
        systems = running_systems(data, ("medusa", "odoo"), lambda port: port != FURTHER_PORTS["odoo"])
    said = capfd.readouterr().err.splitlines()
    for line in (
        "odoo: needs Python 3.6 or 3.7",
        "odoo is left out",
        "odoo does not run: the graph is without it. Needs: backends/odoo/README.md",
    ):
        assert line in said
    assert [line.split()[0] for line in said if " answers after " in line and line.startswith("medusa")] == ["medusa"]
    assert (sorted(systems.sources), systems.routes) == (["commerce", "erp", "logistics", "medusa"], ())
    assert systems.domains.orders is not None
    assert systems.domains.orders.write_channels == {"VENDURE": "commerce", "MEDUSA": "medusa"}
    connect_all(settings_of(systems, tmp_path))


@pytest.mark.parametrize(
    ("further", "sources", "enrich", "channels", "routed"),
    [
        ((), ["commerce", "erp", "logistics"], ("commerce",), ["VENDURE"], []),
        (("odoo",), ["commerce", "erp", "logistics", "odoo"], ("commerce",), ["VENDURE"], ["odoo"]),
        (
            ("odoo", "medusa"),
            ["commerce", "erp", "logistics", "medusa", "odoo"],
            ("commerce", "medusa"),
            ["VENDURE", "MEDUSA"],
            ["odoo"],
        ),
    ],
)
def test_graph_of_the_systems_that_run(
    tmp_path: Path,
    further: tuple[str, ...],
    sources: list[str],
    enrich: tuple[str, ...],
    channels: list[str],
    routed: list[str],
):
    systems = running_systems(seeded(tmp_path), further, lambda _: True)
    orders = systems.domains.orders
    assert orders is not None
    assert (sorted(systems.sources), orders.enrich, list(orders.write_channels)) == (sources, enrich, channels)
    assert [route.source for route in systems.routes] == routed
    connect_all(settings_of(systems, tmp_path))


@pytest.mark.parametrize("content", [None, "", '{"secret_key": "sk_hidden"}', '{"secret_key": 7, "region": "r"}'])
def test_medusa_without_credentials_of_its_seed_is_left_out(
    tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "medusa").mkdir()
    file = tmp_path / "medusa" / "credentials.json"
    if content is not None:
        file.write_text(content)
    assert "medusa" not in running_systems(tmp_path, ("medusa",), lambda _: True).sources
    assert capsys.readouterr().err == f"medusa runs, but {file} cannot be read: the graph is without it.\n"


def test_example_of_the_documentation_is_the_graph_of_the_demo(tmp_path: Path):
    demo = running_systems(seeded(tmp_path), ("medusa", "odoo"), lambda _: True)
    for name in ("jwks.json", "tryton-key", "tryton-password", "odoo-password", "vendure-password", "karrio-key"):
        (tmp_path / "secrets").mkdir(exist_ok=True)
        (tmp_path / "secrets" / name).write_text('{"keys": []}' if name == "jwks.json" else "hidden-credentials")
    (tmp_path / "secrets" / "medusa-secret-key").write_text("sk_hidden")
    (tmp_path / EXAMPLE.name).write_text(EXAMPLE.read_text().replace("reg_01EXAMPLE", "reg_01"))
    example = load(tmp_path / EXAMPLE.name)
    assert (example.domains, example.routes, example.intake.channels) == (demo.domains, demo.routes, demo.channels)
    assert example.sources.keys() == demo.sources.keys()
    for name, source in demo.sources.items():
        written = example.sources[name]
        assert written.model_copy(update={"credentials": source.credentials}) == source
        assert written.credentials.keys() == source.credentials.keys()


def test_welcome_says_which_system_takes_an_order(tmp_path: Path):
    systems = running_systems(seeded(tmp_path), ("medusa", "odoo"), lambda _: True)
    said = welcome(settings_of(systems, tmp_path)).splitlines()
    start = said.index("Orders of `submitOrder` go to:")
    assert [line.split() for line in said[start + 2 : start + 6]] == [
        ["commerce", "client", "vendure-shop", "(./run", "token", "--subject", "vendure-shop", "...)"],
        ["medusa", "client", "medusa-shop", "(./run", "token", "--subject", "medusa-shop", "...)"],
        ["odoo", "customers", "CUST-001*"],
        ["erp", "all", "others"],
    ]


def test_further_systems_are_named_once_and_known():
    assert further_systems(" medusa,odoo,,medusa") == ("medusa", "odoo")
    with pytest.raises(ConfigurationError) as caught:
        further_systems("odoo,sap")
    assert str(caught.value) == "--with = 'sap': choose from medusa, odoo"


def test_ports_of_further_systems_are_those_of_their_folders():
    files = {file.parent.name: file.read_text() for file in (ROOT / "backends").glob("*/service.env")}
    assert {name: text.split()[0] for name, text in files.items()} == {
        name: f"port={port}" for name, port in FURTHER_PORTS.items()
    }


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        ("odoo", "odoo: needs Python 3.6 or 3.7, such as 'pyenv install 3.7'; set ODOO_PYTHON"),
        (
            "medusa",
            "medusa: this machine lacks Node.js 20 or later with npm (https://nodejs.org, or your system's package)",
        ),
    ],
)
def test_script_of_a_further_system_says_what_the_machine_lacks(tmp_path: Path, name: str, lacking: str):
    programs = tmp_path / "bin"
    programs.mkdir()
    for tool in ("bash", "sh", "dirname"):
        (programs / tool).symlink_to(Path("/bin") / tool)
    environment = {"PATH": str(programs), "HOME": str(tmp_path), "DATA_DIR": str(tmp_path / "data")}
    script = ROOT / "backends" / name / "run.sh"
    done = subprocess.run(
        [str(programs / "bash"), str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (69, "", f"{lacking}\n")
    assert not (tmp_path / "data").exists()

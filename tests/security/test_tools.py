"""Tools that others wrote to attack GraphQL, against a gateway that is set up as in production."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from app.schema import build_schema
from tests.attacks.target import Target
from tests.security.conftest import HERE

pytestmark = pytest.mark.security

ACCOUNTS = ("CUST-0001", "CUST-0002")


def _run(command: list[str], folder: Path, seconds: float, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **variables},
        timeout=seconds,
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.mark.timeout(400)
def test_clairvoyance_recovers_no_field(tools: Path, target: Target, tmp_path: Path, said: list[str]) -> None:
    """Its own list of words, and every name of the schema: who knows the names must not learn that they are right."""
    core = build_schema()._schema
    names = {name for name, kind in core.type_map.items() if not name.startswith("__")}
    names |= {field for kind in core.type_map.values() for field in getattr(kind, "fields", ())}
    own = subprocess.run(
        [tools / "python", "-c", "import clairvoyance; print(clairvoyance.__path__[0])"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    words = Path(own, "wordlist.txt").read_text(encoding="utf-8").split()
    (tmp_path / "words").write_text("\n".join(sorted(names | set(words))), encoding="utf-8")
    found = tmp_path / "found.json"
    token = target.token("buyer", customers=ACCOUNTS)
    command = [str(tools / "clairvoyance"), "-o", str(found), "-w", str(tmp_path / "words"), "-m", "1"]
    done = _run([*command, "-H", f"Authorization: Bearer {token}", f"{target.url}/graphql"], tmp_path, 300)
    told = done.stdout + done.stderr
    recovered = _fields(json.loads(found.read_text(encoding="utf-8"))) if found.exists() else []
    said.append(f"clairvoyance: {len(recovered)} fields recovered with {len(names | set(words))} words")
    assert "Starting blind introspection" in told, told[-2000:]
    assert found.exists() or "Unable to get TypeRef" in told, told[-2000:]
    assert recovered == []


def _fields(schema: object) -> list[str]:
    types = schema["data"]["__schema"]["types"]  # type: ignore[index]
    return [f"{kind['name']}.{field['name']}" for kind in types for field in kind.get("fields") or ()]


@pytest.mark.timeout(600)
def test_schemathesis_finds_no_server_error(
    tools: Path, target: Target, tmp_path: Path, said: list[str], request: pytest.FixtureRequest
) -> None:
    seconds = int(str(request.config.getoption("--security-seconds")))
    token = target.token("sales_rep", "buyer_admin", customers=ACCOUNTS)
    (tmp_path / "schemathesis_hooks.py").write_text(
        (HERE / "schemathesis_hooks.py").read_text(encoding="utf-8"), encoding="utf-8"
    )
    command = [
        str(tools / "schemathesis"), "--config-file", str(_config(tmp_path)), "run",
        str(HERE.parents[1] / "schema.graphql"),
        "--url", f"{target.url}/graphql", "--header", f"Authorization: Bearer {token}", "--checks", "no_error_of_ours",
        "--max-time", str(seconds), "--max-examples", "100000", "--continue-on-failure", "--no-color", "--workers", "2",
        "--suppress-health-check", "all", "--generation-database", "none",
        "--seed", "1",
    ]  # fmt: skip
    done = _run(command, tmp_path, seconds + 200)
    generated = re.search(r"(\d+) generated", done.stdout)
    said.append(f"schemathesis: {generated and generated[1]} requests in {seconds} s")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert generated is not None
    assert int(generated[1]) > 5 * seconds, "too few to have looked"
    assert '"level":"error"' not in target.log


def _config(folder: Path) -> Path:
    file = folder / "schemathesis.toml"
    file.write_text('hooks = "schemathesis_hooks.py"\n', encoding="utf-8")
    return file


@pytest.mark.timeout(300)
def test_graphql_cop_finds_nothing(
    tools: Path, target: Target, tmp_path: Path, said: list[str], request: pytest.FixtureRequest
) -> None:
    """It is in no registry (the package of its name is somebody's placeholder), so that it runs from a checkout."""
    checkout = request.config.getoption("--graphql-cop")
    if checkout is None:
        pytest.skip(
            "needs a checkout of dolevf/graphql-cop: --graphql-cop FOLDER; tests/attacks has each of its checks"
        )
    header = json.dumps({"Authorization": f"Bearer {target.token('buyer', customers=ACCOUNTS)}"})
    script = Path(checkout, "graphql-cop.py")
    command = [
        str(tools / "python"),
        str(script),
        "-t",
        f"{target.url}/graphql",
        "-H",
        header,
        "-o",
        "json",
    ]
    done = _run(command, tmp_path, 100)
    findings = json.loads(done.stdout)
    assert len(findings) >= 12, done.stdout + done.stderr
    said.append(f"graphql-cop: {len(findings)} checks")
    found = {one["title"] for one in findings if one["result"]}
    assert found <= {"GET Method Query Support"}, "GET runs queries only, and by a credential that pages cannot send"

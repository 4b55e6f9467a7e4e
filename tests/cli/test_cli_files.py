"""`./run files`: the ledger, rejected rows and retries, beside a gateway or without one."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.test_cli import run
from tests.support.files import HEADER, exchange

CONFIG = """
demo = true
data_dir = "{data}"
[sources.warehouse]
vendor = "files"
base_url = "file://{root}"
[sources.warehouse.options]
settle_seconds = 0
[sources.warehouse.options.feeds.stock]
dataset = "stock"
files = "stock*"
columns = {{ sku = "ITEM", warehouse = "WHS", on_hand = "QTY", uom = {{ value = "EA" }} }}
"""


async def test_files_are_listed_shown_and_retried(tmp_path: Path):
    files = exchange(tmp_path)
    rows = "".join(f"SKU-{number},WH-1,{number}\n" for number in range(20))
    first = await files.taken("stock.csv", HEADER + rows + "SKU-X,WH-1,many\n")
    second = await files.taken("stock-bad.csv", "nothing\n")
    config = tmp_path / "tradegraph.toml"
    config.write_text(CONFIG.format(data=tmp_path / "data", root=files.root))

    async def call(*arguments: str) -> tuple[int | None, str]:
        code, out, _ = await run("files", *arguments, "--config", str(config), cwd=tmp_path)
        return code, out

    listed = json.loads((await call("list", "--json"))[1])
    assert [(one["id"], one["state"], one.get("code"), one["rows"], one["rejected"]) for one in listed] == [
        (second.id, "QUARANTINED", "FILE_MALFORMED", 0, 0),
        (first.id, "IMPORTED", None, 20, 1),
    ]
    table = (await call("list", "--state", "quarantined"))[1]
    assert (second.id in table, first.id in table) == (True, False)
    shown = json.loads((await call("show", first.id))[1])
    assert shown["rejectedRows"] == [{"line": 22, "field": "on_hand", "code": "VALUE_NOT_A_NUMBER"}]
    assert (await call("show", "other"))[0] == 1
    assert (await call("retry", first.id))[0] == 1
    assert (await call("retry", second.id))[0] == 0
    [again] = await files.intake.scan()
    assert (again.id, again.code) == (second.id, "FILE_MALFORMED")

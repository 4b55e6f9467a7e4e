"""Relevance: 100 searches as people type them, over the items of the sandbox."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from app.sandbox import catalog
from app.sandbox.build import SEED
from tests.support.postgres import Postgres
from tests.support.search import build, catalog_documents, find, open_store

GOLD = Path(__file__).with_name("gold.tsv")
TOP = 3
NEEDED = 95


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_the_right_item_is_among_the_first_three_in_95_of_100_searches(
    kind: str, tmp_path: Path, postgres: Postgres
):
    searches = [line.split("\t") for line in GOLD.read_text(encoding="utf-8").splitlines()]
    assert len(searches) == len({text for text, _ in searches}) == 100
    skus = {article.name: article.sku for article in catalog.articles(random.Random(SEED))}
    async with postgres.database() as url, open_store(tmp_path if kind == "sqlite" else url) as store:
        await build(store, catalog_documents())
        missed = [text for text, name in searches if skus[name] not in (await find(store, text, TOP)).rows]
    assert len(missed) <= len(searches) - NEEDED, missed

"""What axe-core finds wrong with a page for people who see little, use the keyboard, or listen."""

from __future__ import annotations

from functools import cache

from tests.support.browser import Page
from tests.support.node_tools import node_folder


@cache
def _axe() -> str:
    return (node_folder() / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


async def barriers(page: Page) -> list[str]:
    """The rules of WCAG 2.2 AA, and axe's own best practices, that the page breaks, each with where."""
    await page.run(f"{_axe()};0")
    found = await page.run(
        "axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations.map((one) => "
        "`${one.id}: ${one.nodes.map((node) => node.target.join(' ')).join(', ')}`))"
    )
    return list(found)

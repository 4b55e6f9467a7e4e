"""How the suite runs: the files over all processors, and what takes long only on demand."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

MOST_WORKERS = 8
"""Each worker starts a sandbox of its own."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tradegraph")
    group.addoption("--all", action="store_true", help="run the tests marked `long` too")
    group.addoption("--live", action="store_true", help="talk to the three real systems instead of their recordings")
    group.addoption("--record", action="store_true", help="record the real systems anew into tests/upstreams/recorded")
    group.addoption("--differential", action="store_true", help="compare plans with graphql-core at length: an hour")
    group.addoption("--events", action="store_true", help="account for 100,000 steps of shipments instead of 500")
    group.addoption("--security", action="store_true", help="run the attack tools of others instead of the tests")
    group.addoption("--security-seconds", default="300", help="how long schemathesis asks: 300")
    group.addoption("--graphql-cop", help="a checkout of graphql-cop, which is in no registry")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Give each processor a worker, unless files or tests are named or `-n` says how many."""
    option = config.option
    if hasattr(config, "workerinput") or not config.pluginmanager.hasplugin("xdist"):
        return
    shared = option.live or option.record or option.security  # The real systems, and what attacks them, are one.
    if option.numprocesses is None and not (shared or option.usepdb or option.collectonly) and names_no_file(config):
        option.numprocesses = min(len(os.sched_getaffinity(0)), MOST_WORKERS)
        option.tx = ["popen"] * option.numprocesses
    if option.numprocesses and option.dist in {"no", "load"}:
        option.dist = "loadscope"
        option.loadscopereorder = False  # `longest_first` does that.


def names_no_file(config: pytest.Config) -> bool:
    """Whether the suite or folders of it are to run."""
    return all(Path(config.invocation_params.dir, argument).is_dir() for argument in config.args)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    security = bool(config.option.security)
    deselect(config, items, lambda item: ("security" in item.keywords) != security)
    if not runs_long(config):
        deselect(config, items, lambda item: "long" in item.keywords)
    if not (config.option.live or config.option.record):
        skip = pytest.mark.skip(reason="needs the three real systems: run with --live")
        for item in items:
            if "live" in item.keywords:
                item.add_marker(skip)
    for item in items:
        if "shared_gateway" in item.keywords and "own_graph" not in getattr(item, "fixturenames", ()):
            share_loop(item)
    if hasattr(config, "workerinput"):
        longest_first(items)


def share_loop(item: pytest.Item) -> None:
    """Run a test in the event loop of its file, where the gateway runs that the file shares."""
    if item.get_closest_marker("asyncio"):
        item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


def runs_long(config: pytest.Config) -> bool:
    """Whether tests marked `long` run: with `--all` and its like, or where tests are chosen by name or by mark."""
    option = config.option
    chosen = option.keyword or option.markexpr or config.args_source is not pytest.Config.ArgsSource.TESTPATHS
    return bool(chosen or option.all or option.live or option.record or option.differential or option.events)


def deselect(config: pytest.Config, items: list[pytest.Item], unwanted: Callable[[pytest.Item], bool]) -> None:
    """Leave out the tests of which this is true."""
    if out := [item for item in items if unwanted(item)]:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if not unwanted(item)]
        output = getattr(config, "workeroutput", {})
        output["deselected"] = output.get("deselected", 0) + len(out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Count what workers deselect; each collects all tests."""
    reporter = node.config.pluginmanager.get_plugin("terminalreporter")
    reporter.stats["deselected"] = [SimpleNamespace()] * getattr(node, "workeroutput", {}).get("deselected", 0)


def longest_first(items: list[pytest.Item]) -> None:
    """Order files for workers: those with long tests first, then those with few, whose tests are the slower ones."""
    counts = Counter(item.path for item in items)
    long = {item.path for item in items if "long" in item.keywords}
    items.sort(key=lambda item: (item.path not in long, counts[item.path]))

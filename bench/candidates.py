"""Who is compared: how each candidate is started, and whose requests it believes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.gateway import Gateway, has_plan_engine
from bench.processes import ROOT, python

NODE_PEERS = ROOT / "bench" / "peers" / "node"


@dataclass(frozen=True)
class Candidate:
    """A server. `{port}` and `{upstream}` in its command are filled in; `warm` is the load in seconds that it gets
    before anything counts."""

    name: str
    label: str
    command: Sequence[str | Path]
    environment: Mapping[str, str] = field(default_factory=dict)
    warm: float = 2.0

    def started(self, port: int, upstream: str) -> list[str]:
        """The command to run."""
        return [str(part).format(port=port, upstream=upstream) for part in self.command]


OURS, REFERENCE, LIMIT, PLAIN = "plan", "reference", "handwritten", "strawberry"
CACHED = "cached"
MERCURIUS = ("mercurius", "mercurius-dataloader")
PRODUCTION_MERCURIUS = ("mercurius-production", "mercurius-dataloader-production")
PRODUCTION = ("apollo-production", *PRODUCTION_MERCURIUS)
"""Node peers with tokens, limits, log, metrics, audit and row scope, as the gateway has them."""


def candidates(gateway: Gateway, *, names: Sequence[str] = ()) -> list[Candidate]:
    """All there are on this machine, ours first, or those named."""
    serve = python("-m", "app.cli", "serve", "--config", gateway.config)
    made = [
        Candidate(REFERENCE, "tradegraph, reference engine", serve, settings_of(gateway, REFERENCE)),
        Candidate(LIMIT, "hand-written handler", python("-m", "bench.peers.handwritten", "{port}", "{upstream}")),
        Candidate(PLAIN, "Strawberry, plain", python("-m", "bench.peers.strawberry_peer", "{port}", "{upstream}")),
        Candidate("ariadne", "Ariadne", python("-m", "bench.peers.ariadne_peer", "{port}", "{upstream}")),
    ]
    if has_plan_engine():
        cached = settings_of(gateway, OURS) | {"TRADEGRAPH_CACHE__ENABLED": "true"}
        made[:0] = [
            Candidate(OURS, "tradegraph", serve, settings_of(gateway, OURS)),
            Candidate(CACHED, "tradegraph, reference data kept", serve, cached),
        ]
    made += _node_peers(gateway)
    if unknown := set(names) - {one.name for one in made}:
        raise SystemExit(
            f"no such candidate here: {', '.join(sorted(unknown))}; there are {[one.name for one in made]}"
        )
    return [one for one in made if not names or one.name in names]


def settings_of(gateway: Gateway, engine: str) -> dict[str, str]:
    """What differs between two of our servers over one settings file."""
    data = gateway.config.parent / "data-{port}"
    return {"TRADEGRAPH_ENGINE": engine, "TRADEGRAPH_SERVER__PORT": "{port}", "TRADEGRAPH_DATA_DIR": str(data)}


def _node_peers(gateway: Gateway) -> list[Candidate]:
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        print("Node.js or npm is missing: Apollo, Yoga and Mercurius are left out.", file=sys.stderr)
        return []
    if not install_node_peers():
        print("npm could not install Apollo, Yoga and Mercurius: they are left out.", file=sys.stderr)
        return []

    def peer(name: str, label: str, file: str, *more: str | Path) -> Candidate:
        command = [node, NODE_PEERS / file, "{port}", "{upstream}", *more]
        return Candidate(name, label, command, {"NODE_ENV": "production"}, warm=6.0)

    return [
        peer("apollo", "Apollo Server 5", "apollo.mjs"),
        peer("yoga", "GraphQL Yoga 5", "yoga.mjs"),
        peer("mercurius", "Mercurius 16, JIT, loaders", "mercurius.mjs", "loaders"),
        peer("mercurius-dataloader", "Mercurius 16, JIT, dataloader", "mercurius.mjs", "dataloader"),
        peer("apollo-production", "Apollo Server 5, production", "apollo-production.mjs", gateway.peers),
        peer(
            "mercurius-production",
            "Mercurius 16, loaders, production",
            "mercurius-production.mjs",
            "loaders",
            gateway.peers,
        ),
        peer(
            "mercurius-dataloader-production",
            "Mercurius 16, dataloader, production",
            "mercurius-production.mjs",
            "dataloader",
            gateway.peers,
        ),
    ]


def install_node_peers() -> bool:
    """`npm ci`, unless the lock was installed after its last change. False where npm fails."""
    lock = NODE_PEERS / "package-lock.json"
    installed = NODE_PEERS / "node_modules" / ".package-lock.json"
    if installed.is_file() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return True
    print("installing the Node peers ...", file=sys.stderr)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--silent"]
    return subprocess.run(command, cwd=NODE_PEERS, check=False).returncode == 0


def versions() -> dict[str, str]:
    """The versions that are compared."""
    import platform
    from importlib.metadata import version

    found = {"Python": platform.python_version()}
    found |= {name: version(name) for name in ("strawberry-graphql", "ariadne", "graphql-core", "httpx", "uvicorn")}
    node = shutil.which("node")
    if node:
        done = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
        found["Node.js"] = done.stdout.strip().removeprefix("v")
        locked = json.loads((NODE_PEERS / "package-lock.json").read_text())["packages"]
        for name in ("@apollo/server", "graphql-yoga", "mercurius", "graphql-jit", "graphql", "undici"):
            found[name] = locked[f"node_modules/{name}"]["version"]
    return found

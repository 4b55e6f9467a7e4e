"""Compare the locks with pyproject.toml, offline, and look for what does not belong into a lock."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^ ;]+)( ; (?P<marker>[^\\]+?))? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def read_lock(text: str) -> tuple[dict[str, set[Version]], list[str]]:
    """The versions pinned by name, and the lines that are neither a pin nor a hash."""
    pins: dict[str, set[Version]] = {}
    strange = []
    for line in text.splitlines():
        if pin := PIN.match(line):
            pins.setdefault(canonicalize_name(pin["name"]), set()).add(Version(pin["version"]))
        elif not HASH.match(line):
            strange.append(line)
    return pins, strange


def unmet(requirements: list[str], pins: dict[str, set[Version]]) -> list[str]:
    """Requirements that the pins do not fulfil, in words."""
    problems = []
    for requirement in map(Requirement, requirements):
        versions = pins.get(canonicalize_name(requirement.name), set())
        if not versions:
            problems.append(f"{requirement.name} is required and not locked")
        problems += [
            f"{requirement.name} is locked at {version}, required is {requirement.specifier}"
            for version in sorted(versions)
            if version not in requirement.specifier
        ]
    return problems


def problems(root: Path = ROOT) -> list[str]:
    """Everything wrong with the locks; empty when they are up to date."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    required = project["project"]["dependencies"]
    runtime, strange = read_lock((root / "requirements.lock").read_text())
    development, more = read_lock((root / "requirements-dev.lock").read_text())
    found = [f"not a pin with hashes: {line.strip()}" for line in strange + more]
    found += unmet(required, runtime)
    found += unmet(required + project["dependency-groups"]["dev"], development)
    found += [
        f"{name} differs between requirements.lock and requirements-dev.lock"
        for name, versions in sorted(runtime.items())
        if development.get(name) != versions
    ]
    return found


if __name__ == "__main__":
    found = problems()
    print("\n".join([*found, "./run lock computes them anew"] if found else ["up to date"]))
    raise SystemExit(bool(found))

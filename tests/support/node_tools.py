"""Node.js tools that tests use: installed once from their lock, skipped with a reason where that is not possible."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.locks import exclusively

FOLDER = Path(__file__).resolve().parents[1] / "node"
PATIENCE = 90
"""Seconds: less than the tests have that ask for the packages first."""


def node_folder(folder: Path = FOLDER) -> Path:
    """A folder with package.json, its packages installed. Skips the test without Node.js, npm or their registry."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("needs Node.js and npm on the PATH")
    if _is_installed(folder):
        return folder
    with exclusively(folder / ".install.lock") as waited:
        if not _is_installed(folder):
            if waited:
                pytest.skip(f"another test could not install the packages of {folder.name}/")
            _install(folder)
    return folder


def _is_installed(folder: Path) -> bool:
    installed = folder / "node_modules" / ".package-lock.json"
    return installed.exists() and installed.stat().st_mtime >= (folder / "package-lock.json").stat().st_mtime


def _install(folder: Path) -> None:
    command = ["npm", "ci", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install the packages of {folder.name}/ within {PATIENCE} seconds")
    if done.returncode != 0:
        pytest.skip(f"npm could not install the packages of {folder.name}/: {done.stderr.strip()[-200:]}")

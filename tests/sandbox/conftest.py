"""Where the sandbox of the tests has its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.sandbox import Sandbox


@pytest.fixture(scope="module")
def folder(sandbox: Sandbox) -> Path:
    """Where the session's sandbox has its files."""
    return Path(sandbox.data_dir)

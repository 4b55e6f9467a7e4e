"""Secrets in files."""

from __future__ import annotations

from pathlib import Path

from app.errors import ConfigurationError


def read_secret(key: str, path: Path, base: Path) -> str:
    """The content of a file without surrounding white space. Relative paths start at `base`."""
    file = base / path
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        cure = f"cannot be read ({reason}); make the file {file} or correct the path"
        raise ConfigurationError(key, str(path), cure) from None
    if not text:
        raise ConfigurationError(key, str(path), f"is empty; write the secret into {file}")
    return text

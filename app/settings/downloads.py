"""Downloads of documents: `[downloads]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from app.settings.section import Section

SHORTEST_SECRET = 32


def _is_long(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < SHORTEST_SECRET:
        raise ValueError(f"is too short; use at least {SHORTEST_SECRET} characters")
    return secret


class DownloadSettings(Section):
    """Signed links to invoices and proofs of delivery as PDF. Without a secret no link is made.

    The first of `secrets` signs; all verify, so that a secret can be rotated. `secret_files` hold one each. A link is
    valid for `lifetime` seconds. A document of more than `max_bytes` is refused.
    """

    secrets: tuple[Annotated[SecretStr, AfterValidator(_is_long)], ...] = ()
    secret_files: tuple[Path, ...] = ()
    lifetime: float = Field(default=300.0, ge=10, le=3600)
    max_bytes: int = Field(default=10 * 1024 * 1024, ge=1024, le=1024**3)

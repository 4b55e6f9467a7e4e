"""Price proofs: `[intake.proofs]`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from app.settings.section import Section

SHORTEST_KEY = 32
DEMO_KEY = "demo"
"""Id of the key of demo mode; refused elsewhere."""

KeyId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,16}$")]


def _is_long(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value()) < SHORTEST_KEY:
        raise ValueError(f"is too short; use at least {SHORTEST_KEY} characters")
    return key


class PriceChangePolicy(StrEnum):
    """What happens to an order whose current price is not the proven one."""

    HOLD = "hold"
    REJECT = "reject"
    ACCEPT_IF_LOWER = "accept_if_lower"


class PriceChangeRule(Section):
    """The policy of a client, a channel, or both; the first rule that matches applies."""

    client: str | None = None
    channel: str | None = None
    policy: PriceChangePolicy


class ProofSettings(Section):
    """Proofs of quoted prices. Without a key no proof is made.

    `keys` and `key_files` are keys by id. `signing_key` signs, all verify, so that a key can be rotated; with one key
    it may be omitted. A proof is valid for `lifetime` seconds, and until the last day of its price. `on_change` applies
    where no rule of `changes` matches.
    """

    keys: dict[KeyId, Annotated[SecretStr, AfterValidator(_is_long)]] = {}
    key_files: dict[KeyId, Path] = {}
    signing_key: KeyId | None = None
    lifetime: float = Field(default=7 * 86_400.0, ge=60, le=366 * 86_400)
    on_change: PriceChangePolicy = PriceChangePolicy.HOLD
    changes: tuple[PriceChangeRule, ...] = ()

    @model_validator(mode="after")
    def _has_signing_key(self) -> Self:
        ids = self.keys.keys() | self.key_files.keys()
        if self.signing_key is None and len(ids) > 1:
            raise ValueError("has several keys; name the one that signs: signing_key")
        if self.signing_key is not None and self.signing_key not in ids:
            raise ValueError(f"signing_key {self.signing_key!r} is none of keys and key_files")
        return self

    def policy_of(self, client: str, channel: str) -> PriceChangePolicy:
        """The policy for orders of a client by a channel."""
        for rule in self.changes:
            if rule.client in (None, client) and rule.channel in (None, channel):
                return rule.policy
        return self.on_change

"""Proofs of quoted prices: a price with what it is for, under HMAC-SHA256. Nothing is stored.

A proof is `KEY.DATA`: the id of the key, and the encoded price followed by its signature. The signature covers the key
id and the tenant too. One key signs, all verify, so that a key can be rotated.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec

from app.errors import ConfigurationError, OrderProblem, PriceProofExpired, PriceProofInvalid
from app.settings import ProofSettings, Settings
from app.settings.proofs import DEMO_KEY
from app.sources.prices import ContractPrice, PriceReason
from app.sources.values import Money

LONGEST_PROOF = 1024
LONGEST_REASON = 60
_PURPOSE = b"tradegraph-price-1"
_SIGNATURE_BYTES = 32


class ProvenPrice(msgspec.Struct, frozen=True, array_like=True):
    """What a proof states: the price of `price_unit` units in `uom` at `quantity`. `quoted_at` is in seconds since
    1970, `valid_to` the ordinal of the last day."""

    customer: str
    sku: str
    uom: str
    quantity: Decimal
    amount: Decimal
    price_unit: Decimal
    currency: str
    authority: str
    quoted_at: int
    valid_to: int | None
    reason: str

    @property
    def unit_price(self) -> Money:
        """The price of `price_unit` units."""
        return Money(amount=self.amount, currency=self.currency)


class PriceProofs:
    """Makes and verifies proofs."""

    def __init__(self, settings: ProofSettings) -> None:
        self._keys = {id: key.get_secret_value().encode() for id, key in settings.keys.items()}
        self._signing = settings.signing_key or next(iter(self._keys), None)
        self._lifetime = timedelta(seconds=settings.lifetime)

    def __repr__(self) -> str:
        return "<PriceProofs>"

    def prove(self, tenant: str, price: ContractPrice) -> str | None:
        """The proof of a price; None without a key, and for a price that is not valid on the day of its quotation."""
        day = price.quoted_at.astimezone(UTC).date()
        if self._signing is None or (price.valid_from or day) > day or (price.valid_to or day) < day:
            return None
        payload = msgspec.msgpack.encode(
            ProvenPrice(
                customer=price.customer,
                sku=price.sku,
                uom=price.uom,
                quantity=price.quantity,
                amount=price.unit_price.amount,
                price_unit=price.price_unit,
                currency=price.currency,
                authority=price.authority,
                quoted_at=int(price.quoted_at.timestamp()),
                valid_to=price.valid_to.toordinal() if price.valid_to else None,
                reason=_reason(price.reason),
            )
        )
        signature = _signature(self._keys[self._signing], self._signing, tenant, payload)
        return f"{self._signing}.{base64.urlsafe_b64encode(payload + signature).rstrip(b'=').decode()}"

    def verify(self, tenant: str, proof: str, at: datetime) -> ProvenPrice | type[OrderProblem]:
        """What a proof states, or why it proves nothing at this time."""
        id, dot, text = proof.partition(".")
        key = self._keys.get(id)
        data = _decoded(text) if dot and len(proof) <= LONGEST_PROOF else None
        if key is None or data is None or len(data) <= _SIGNATURE_BYTES:
            return PriceProofInvalid
        payload, signature = data[:-_SIGNATURE_BYTES], data[-_SIGNATURE_BYTES:]
        if not hmac.compare_digest(_signature(key, id, tenant, payload), signature):
            return PriceProofInvalid
        try:
            proven = msgspec.msgpack.decode(payload, type=ProvenPrice)
        except msgspec.DecodeError:
            return PriceProofInvalid
        quoted = datetime.fromtimestamp(proven.quoted_at, UTC)
        ended = proven.valid_to is not None and at.astimezone(UTC).date() > date.fromordinal(proven.valid_to)
        return PriceProofExpired if ended or at >= quoted + self._lifetime else proven


def make_price_proofs(settings: Settings) -> PriceProofs:
    """The proofs of a gateway. Raises ConfigurationError for the key of demo mode elsewhere."""
    proofs = settings.intake.proofs
    if DEMO_KEY in proofs.keys and not settings.demo:
        raise ConfigurationError("intake.proofs.keys", DEMO_KEY, "is the id of the demo's key; use another id and key")
    return PriceProofs(proofs)


def _reason(reason: PriceReason) -> str:
    parts = (reason.rule, reason.contract, reason.price_list)
    return "/".join(part for part in parts if part)[:LONGEST_REASON]


def _signature(key: bytes, id: str, tenant: str, payload: bytes) -> bytes:
    return hmac.digest(key, b"\0".join((_PURPOSE, id.encode(), tenant.encode(), payload)), "sha256")


def _decoded(text: str) -> bytes | None:
    """The bytes of base64url without padding, in its one form; None for anything else."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.urlsafe_b64encode(data).rstrip(b"=").decode() == text else None

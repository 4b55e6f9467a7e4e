"""Our gateway as it is configured for production: a settings file, RS256 tokens verified by a key set, row scope,
limits, budgets, metrics, logs, audit. The production peers get the same tokens and key set, and limits of their own.

Time limits are long, because a load of many requests at once on one processor is no reason to give up. The cache is
off, as its peers have none; one candidate has it on.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from joserfc import jwt
from joserfc.jwk import RSAKey

from app.settings import Settings

REPS = 8
"""Sales representatives, who share the customers among them: a token each."""

ISSUER, AUDIENCE = "https://id.example.com", "tradegraph"
KEY_ID = "bench-1"

PEER_LIMITS = {"maxDepth": 20, "maxTokens": 3_000, "maxCost": 100_000}
"""Of the production peers, in units of their own; the sales view costs some 40,000 of them."""

_CONFIG = """
[server]
port = 8000
request_timeout = 100

[auth]
issuer = "{issuer}"
audience = "{audience}"
algorithms = ["RS256"]
jwks_url = "{upstream}/.well-known/jwks.json"

[cache]
enabled = false

[limits]
mode = "enforce"

[budgets]
mode = "enforce"
capacity = 1000000000
restore_rate = 1000000000
max_concurrent = 10000

[sources.erp]
vendor = "rest"
base_url = "{upstream}"
concurrency = 512
timeout = 100
credentials = {{ token = "bench" }}

[sources.logistics]
vendor = "rest"
base_url = "{upstream}"
concurrency = 512
timeout = 100
credentials = {{ token = "bench" }}

[domains]
customers = {{ master = "erp" }}
credit = {{ master = "erp" }}
items = {{ master = "erp" }}
warehouses = {{ master = "erp" }}
stock = {{ master = "erp" }}
prices = {{ master = "erp" }}
orders = {{ master = "erp" }}
shipments = {{ master = "logistics" }}
"""


@dataclass(frozen=True)
class Gateway:
    """Its settings file, that of the production peers, the key of its tokens, and the Authorization header for each
    customer."""

    config: Path
    peers: Path
    key: RSAKey
    authorization: Mapping[str, str]


def prepare(folder: Path, upstream: str, customers: Sequence[str]) -> Gateway:
    """Publish a key set at the upstream, write the settings, sign the tokens."""
    key = RSAKey.generate_key(2048, {"kid": KEY_ID, "use": "sig", "alg": "RS256"}, private=True)
    _publish(upstream, key)
    config, peers = folder / "tradegraph.toml", folder / "peers.json"
    config.write_text(_CONFIG.format(issuer=ISSUER, audience=AUDIENCE, upstream=upstream))
    jwks = f"{upstream}/.well-known/jwks.json"
    shared = {"issuer": ISSUER, "audience": AUDIENCE, "jwks": jwks, "folder": str(folder), **PEER_LIMITS}
    peers.write_text(json.dumps(shared))
    own = [list(customers[place::REPS]) for place in range(REPS)]
    tokens = [signed(key, f"rep-{place}", accounts) for place, accounts in enumerate(own)]
    return Gateway(
        config,
        peers,
        key,
        {number: f"Bearer {token}" for token, accounts in zip(tokens, own, strict=True) for number in accounts},
    )


def _publish(upstream: str, key: RSAKey) -> None:
    body = json.dumps({"keys": [key.as_dict(private=False)]}).encode()
    request = urllib.request.Request(f"{upstream}/bench/keys", data=body, method="PUT")  # noqa: S310 - loopback
    urllib.request.urlopen(request).close()  # noqa: S310


def signed(key: RSAKey, subject: str, customers: Sequence[str], *, key_id: str = KEY_ID, **changed: Any) -> str:
    """A sales representative's token; `changed` are claims that differ from what the gateway expects."""
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "iat": now,
        "exp": now + 24 * 3600,
        "roles": ["sales_rep"],
        "customers": list(customers),
        **changed,
    }
    return jwt.encode({"alg": "RS256", "kid": key_id}, claims, key)


def has_plan_engine() -> bool:
    """Whether this gateway knows compiled plans."""
    return "plan" in get_args(Settings.model_fields["engine"].annotation)

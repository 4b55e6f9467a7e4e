"""Our gateway as it is configured for production: a settings file, tokens by RS256, row scope, limits, budgets,
metrics, logs.

Time limits are long, because a load of many requests at once on one processor is no reason to give up. The cache is
off, as its peers have none; one candidate has it on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from joserfc import jwt
from joserfc.jwk import RSAKey

from app.settings import Settings

REPS = 8
"""Sales representatives, who share the customers among them: a token each."""

ISSUER, AUDIENCE = "https://id.example.com", "tradegraph"

_CONFIG = """
[server]
port = 8000
request_timeout = 100

[auth]
issuer = "{issuer}"
audience = "{audience}"
algorithms = ["RS256"]
public_key_file = "key.pem"

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
    """Where its settings are, and the Authorization header for each customer."""

    config: Path
    authorization: Mapping[str, str]


def prepare(folder: Path, upstream: str, customers: Sequence[str]) -> Gateway:
    """Write the settings and the key; sign the tokens."""
    key = RSAKey.generate_key(2048, private=True)
    (folder / "key.pem").write_bytes(key.as_pem(private=False))
    config = folder / "tradegraph.toml"
    config.write_text(_CONFIG.format(issuer=ISSUER, audience=AUDIENCE, upstream=upstream))
    own = [list(customers[place::REPS]) for place in range(REPS)]
    tokens = [_token(key, f"rep-{place}", accounts) for place, accounts in enumerate(own)]
    return Gateway(
        config,
        {number: f"Bearer {token}" for token, accounts in zip(tokens, own, strict=True) for number in accounts},
    )


def _token(key: RSAKey, subject: str, customers: list[str]) -> str:
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "iat": now,
        "exp": now + 24 * 3600,
        "roles": ["sales_rep"],
        "customers": customers,
    }
    return jwt.encode({"alg": "RS256"}, claims, key)


def has_plan_engine() -> bool:
    """Whether this gateway knows compiled plans."""
    return "plan" in get_args(Settings.model_fields["engine"].annotation)

"""Demo tokens, signed with a secret in the data folder and accepted in demo mode only."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Collection
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import OctKey
from pydantic import SecretStr

from app.auth.principal import AnyRole
from app.errors import ConfigurationError
from app.settings import AuthSettings

ISSUER = "tradegraph-demo"
AUDIENCE = "tradegraph-demo"
KEY_FILE = "demo-token.key"


def demo_auth(data_dir: Path) -> AuthSettings:
    """Settings that accept the demo tokens of this data folder; with `demo = true` only."""
    return AuthSettings(issuer=ISSUER, audience=AUDIENCE, algorithms=("HS256",), secret=SecretStr(demo_key(data_dir)))


def demo_key(data_dir: Path) -> str:
    """The folder's secret, made on first use and readable by its owner alone."""
    file = data_dir / KEY_FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError("data_dir", str(data_dir), f"cannot be made ({error.strerror})") from None
    # Written aside and linked into place: two processes that start at once agree on one key, and none reads half of it.
    if not file.exists():
        draft = data_dir / f".{KEY_FILE}.{secrets.token_hex(4)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write(secrets.token_urlsafe(32))
        try:
            os.link(draft, file)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    key = file.read_text(encoding="ascii").strip()
    if len(key) < 32:
        raise ConfigurationError("data_dir", str(file), "holds no demo key; delete the file, a new one is made")
    return key


def issue_demo_token(
    settings: AuthSettings,
    *,
    roles: Collection[AnyRole],
    subject: str,
    customers: Collection[str] = (),
    agents: Collection[str] = (),
    tenant: str = "default",
    ttl: int = 3600,
    now: float | None = None,
) -> str:
    """A token for a demo gateway. Its issuer, audience and key id say that it is one; refused for other settings."""
    if settings.issuer != ISSUER or settings.secret is None:
        raise ConfigurationError(
            "auth.issuer", settings.issuer, f"tokens are issued for {ISSUER!r} only; ask your issuer"
        )
    issued = int(time.time() if now is None else now)
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "iat": issued,
        "exp": issued + ttl,
        "roles": sorted(role.value for role in roles),
        "customers": sorted(customers),
        "tenant": tenant,
        "agents": sorted(agents),
        "demo": True,
    }
    key = OctKey.import_key(settings.secret.get_secret_value())
    return jwt.encode({"alg": "HS256", "kid": "demo"}, claims, key, algorithms=["HS256"])

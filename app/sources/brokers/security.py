"""TLS and sign-in of a broker, checked at the start. One form of options for the three protocols."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from app.errors import ConfigurationError, SourceError, SourceRejected, SourceUnavailable, SourceUntrusted
from app.settings import SourceSettings

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "EXTERNAL"]

MECHANISMS: Mapping[str, tuple[Mechanism, ...]] = {
    "kafka": ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"),
    "amqp": ("PLAIN",),
    "amqps": ("PLAIN", "EXTERNAL"),
    "nats": (),
    "tls": (),
}
"""Scheme of the address -> its SASL mechanisms, the default first. EXTERNAL signs in with the client certificate."""

ENCRYPTED = {"amqps": True, "amqp": False, "tls": True}
"""Schemes that say whether the connection is encrypted."""

CREDENTIALS = ("username", "password")

File = Annotated[str, Meta(min_length=1, max_length=4096)]


class TLSOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[sources.NAME.options.tls]`: absolute paths of PEM files. `ca_file` replaces the system's authorities;
    `certificate_file` and `key_file` are the client's, the key may be in the certificate's file."""

    ca_file: File | None = None
    certificate_file: File | None = None
    key_file: File | None = None


@dataclass(frozen=True, slots=True)
class BrokerSecurity:
    """How a consumer connects: encrypted with `tls`, signed in by `mechanism` if there is one."""

    tls: ssl.SSLContext | None
    client_certificate: bool
    mechanism: Mechanism | None
    credentials: Mapping[str, str]

    def __repr__(self) -> str:
        return f"BrokerSecurity(tls={self.tls is not None}, mechanism={self.mechanism!r})"


def read_security(
    name: str, settings: SourceSettings, tls: TLSOptions | bool | None, sasl: Mechanism | None
) -> BrokerSecurity:
    """The TLS context and the credentials of a source. Reads the certificates. Raises ConfigurationError."""
    scheme = urlsplit(settings.base_url).scheme
    credentials = {key: value.get_secret_value() for key, value in settings.credentials.items()}
    _check_credentials(f"sources.{name}.credentials", scheme, credentials)
    signs_in = bool(credentials) or sasl == "EXTERNAL"
    context = _context(f"sources.{name}.options.tls", scheme, tls, signs_in)
    certified = isinstance(tls, TLSOptions) and tls.certificate_file is not None
    mechanism = _mechanism(f"sources.{name}.options.sasl", scheme, sasl, credentials, certified)
    return BrokerSecurity(context, certified, mechanism, credentials)


def connection_error(source: str, error: BaseException) -> SourceError:
    """What a failed connection means: an untrusted server, refused credentials, or a broker that is away."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:  # Chains of aiormq's errors may be circular.
        seen.append(cause)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return SourceUntrusted(source, detail=repr(cause))
        if isinstance(cause, ssl.SSLError) and "ALERT" in (cause.reason or ""):
            return SourceRejected(source, status=401, detail=repr(cause))  # Our certificate is refused, or lacking.
        cause = cause.__cause__ or cause.__context__
    return SourceUnavailable(source, detail=repr(error))


def _check_credentials(key: str, scheme: str, credentials: Mapping[str, str]) -> None:
    known = (*CREDENTIALS, "token") if scheme in {"nats", "tls"} else CREDENTIALS
    if unknown := sorted(credentials.keys() - set(known)):
        raise ConfigurationError(f"{key}.{unknown[0]}", "[hidden]", f"no such credential; use {', '.join(known)}")
    if ("username" in credentials) != ("password" in credentials):
        raise ConfigurationError(key, "[hidden]", "give both `username` and `password`")
    if "token" in credentials and "username" in credentials:
        raise ConfigurationError(key, "[hidden]", "give `token`, or `username` and `password`")


def _mechanism(
    key: str, scheme: str, sasl: Mechanism | None, credentials: Mapping[str, str], certified: bool
) -> Mechanism | None:
    known = MECHANISMS[scheme]
    if sasl is not None and sasl not in known:
        cure = f"{scheme}:// knows {', '.join(known)}" if known else f"{scheme}:// signs in without SASL; leave it out"
        raise ConfigurationError(key, sasl, cure)
    if sasl == "EXTERNAL":
        if credentials or not certified:
            cure = "signs in with the client certificate: give `tls.certificate_file`, and no credentials"
            raise ConfigurationError(key, sasl, cure)
        return sasl
    if sasl is not None and not credentials:
        raise ConfigurationError(key, sasl, "needs the credentials `username` and `password`")
    return (sasl or known[0]) if credentials and known else None


def _context(key: str, scheme: str, tls: TLSOptions | bool | None, signs_in: bool) -> ssl.SSLContext | None:
    encrypted = ENCRYPTED.get(scheme)
    if tls is not None and encrypted is not None and encrypted == (tls is False):
        cure = "amqps:// and tls:// are encrypted, amqp:// is not; change `base_url`, or leave `tls` out"
        raise ConfigurationError(key, tls if tls is False else None, cure)
    if encrypted is None:  # With credentials, Kafka is encrypted unless `tls = false`.
        encrypted = tls is not False and (tls is not None or (scheme == "kafka" and signs_in))
    if not encrypted:
        return None
    files = tls if isinstance(tls, TLSOptions) else TLSOptions()
    for name, file in msgspec.structs.asdict(files).items():
        if file is not None and not (Path(file).is_absolute() and Path(file).is_file()):
            raise ConfigurationError(f"{key}.{name}", file, "there is no such file; give an absolute path")
    if files.key_file is not None and files.certificate_file is None:
        raise ConfigurationError(f"{key}.key_file", files.key_file, "needs `certificate_file`")
    return _loaded(key, files)


def _loaded(key: str, files: TLSOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=files.ca_file)
    except (OSError, ValueError):  # SSLError is an OSError.
        raise ConfigurationError(f"{key}.ca_file", files.ca_file, "holds no certificates in PEM") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.certificate_file is not None:
        try:
            # A key with a passphrase is refused instead of asking for it on the terminal.
            context.load_cert_chain(files.certificate_file, files.key_file, password=lambda: "")
        except (OSError, ValueError):
            cure = "holds no certificate in PEM that goes with the key, or the key has a passphrase"
            raise ConfigurationError(f"{key}.certificate_file", files.certificate_file, cure) from None
    return context

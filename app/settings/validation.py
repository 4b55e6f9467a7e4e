"""Checks of single values, used by the tables of the settings file."""

from __future__ import annotations

import re
from ipaddress import ip_network
from urllib.parse import urlsplit


def check_address(url: str) -> str:
    """The URL without a trailing slash. Raises ValueError if it is no base URL of a backend."""
    cure = "should be http:// or https:// with a host and nothing after the path, such as http://127.0.0.1:8069"
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.port == 0
    except ValueError:
        wrong = True
        parts = urlsplit("")
    if wrong or parts.query or parts.fragment or any(character.isspace() for character in url):
        raise ValueError(cure)
    return url.rstrip("/")


BROKER_SCHEMES = ("nats:", "tls:", "amqp:", "amqps:", "kafka:")


def _check_broker(url: str) -> str:
    try:
        parts = urlsplit(url)
        wrong = not parts.hostname or parts.username or parts.port == 0 or parts.query or parts.fragment
    except ValueError:
        wrong = "," not in url
    if wrong:
        raise ValueError("should be a broker's address without credentials, such as nats://broker.example.com:4222")
    return url


def check_source_address(url: str) -> str:
    """The address of a source: a base URL, or a folder as file:// with an absolute path, or sftp:// with a user and a
    host. Raises ValueError."""
    if url.startswith(BROKER_SCHEMES):
        return _check_broker(url)
    if not url.startswith(("file:", "sftp:")):
        return check_address(url)
    try:
        parts = urlsplit(url)
        whole = bool(parts.hostname and parts.username and parts.port != 0 and not parts.password)
    except ValueError:
        raise ValueError("should be an address such as sftp://user@host/folder") from None
    if parts.scheme == "sftp":
        if not whole or parts.query or parts.fragment:
            raise ValueError("should be sftp:// with user, host and folder, such as sftp://user@sftp.example.com/out")
        return url.rstrip("/")
    if parts.netloc or not parts.path.startswith("/") or parts.query or parts.fragment:
        raise ValueError("should be file:// with an absolute path, such as file:///var/exchange")
    return url.rstrip("/")


def check_host(name: str) -> str:
    """A host name as a `Host` header gives it, without its port; `*.example.com` stands for all below it."""
    if not re.fullmatch(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]", name):
        raise ValueError("should be a host name without a port, such as api.example.com or *.example.com")
    return name.lower()


def check_origin(origin: str) -> str:
    """An origin exactly as browsers send it; neither a path nor a wildcard."""
    if not re.fullmatch(r"https?://([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", origin):
        raise ValueError("should be an origin as browsers send it, such as https://shop.example.com")
    return origin


def check_network(network: str) -> str:
    """An address, or a network such as fd00::/8."""
    try:
        ip_network(network)
    except ValueError:
        raise ValueError("should be an address or a network, such as 127.0.0.1 or fd00::/8") from None
    return network

"""The egress policy: public addresses only, unless the settings allow more.

A partner chooses the URL, and may point it at something internal: a metadata service, a database, the gateway itself
(SSRF). So a URL is accepted in one form only, every address that its host resolves to is checked before each
connection, and the connection is made to a checked address.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

IP = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LONGEST = 2000

# No user information, no fragment, no backslash, nothing that is not ASCII: what is not here, two readers of the same
# address could take for different things.
_FORM = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[A-Za-z0-9._~%!$&'()*+,;=:@/?-]*)?"
)
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

_NEVER: Sequence[Network] = [
    ip_network(text)
    for text in (
        "168.63.129.16/32",  # Azure's own services, at a public address
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata among them
        "192.88.99.0/24",  # relays to IPv6
        "2001::/32",  # IPv4 within IPv6
        "2002::/16",
    )
]
_UNICAST = ip_network("2000::/3")
"""All of IPv6 that is given to machines of the internet; beyond it lie other forms of IPv4, and what is local."""


class AddressRefused(Exception):
    """The gateway does not send there; the text tells the operator why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed URL. `host` is a name in lower case, or an IP address without brackets."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def is_default_port(self) -> bool:
        return self.port == (443 if self.scheme == "https" else 80)

    @property
    def authority(self) -> str:
        """The `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.is_default_port else f"{host}:{self.port}"


class EgressPolicy:
    """Which targets are allowed. Within `networks` all are, elsewhere https on `ports` to public addresses."""

    def __init__(self, networks: Collection[str] = (), ports: Collection[int] = (443,)) -> None:
        self._networks = [ip_network(network) for network in networks]
        self._ports = frozenset(ports)

    def check(self, target: Target, address: str) -> None:
        """Raises AddressRefused unless the target may be reached at this IP address, which its host resolved to."""
        try:
            ip = ip_address(address)
        except ValueError:  # such as fe80::1%eth0
            raise AddressRefused(f"{address} is not an address that can be posted to") from None
        if any(ip.version == network.version and ip in network for network in self._networks):
            return
        if not is_public(ip):
            raise AddressRefused(f"{ip} is not a public address; see endpoints.allowed_networks")
        if target.scheme != "https":
            raise AddressRefused("only https is posted to")
        if target.port not in self._ports:
            raise AddressRefused(f"port {target.port} is not among endpoints.ports")


def is_public(ip: IP) -> bool:
    """Whether an address is public and unicast."""
    if any(ip.version == network.version and ip in network for network in _NEVER):
        return False
    if ip.version == 6 and ip not in _UNICAST:
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def parse_target(url: str) -> Target:
    """A URL taken apart. Raises AddressRefused for any but the plainest form of https://host/path, or http."""
    found = _FORM.fullmatch(url) if len(url) <= LONGEST else None
    if found is None:
        raise AddressRefused(
            f"should be https://, a host and a path, in ASCII, with at most {LONGEST} characters and without a user, "
            "a password or a fragment"
        )
    scheme = found["scheme"]
    port = int(found["port"] or (443 if scheme == "https" else 80))
    if not 0 < port < 65536:
        raise AddressRefused(f"there is no port {port}")
    return Target(scheme, _host(found["host"].lower()), port, found["path"] or "/")


def _host(text: str) -> str:
    if text.startswith("["):
        try:
            return str(IPv6Address(text[1:-1]))
        except ValueError:
            raise AddressRefused(f"{text} is no IPv6 address") from None
    labels = text.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        # Resolvers take 2130706433, 0177.0.0.1, 0x7f.1 and 127.1 all for 127.0.0.1.
        try:
            return str(IPv4Address(text))
        except ValueError:
            raise AddressRefused(f"{text} is no IPv4 address of four decimal numbers") from None
    if len(text) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise AddressRefused(f"{text[:80]} is not a host name")
    return text

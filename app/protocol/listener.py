"""The listening socket."""

from __future__ import annotations

import socket

from app.errors import ConfigurationError
from app.settings import Settings

BACKLOG = 2048
"""Connections that may wait until they are taken."""


def listen(settings: Settings) -> socket.socket:
    """Bind the configured address before anything else is started."""
    host, port = settings.server.host, settings.server.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except socket.gaierror:
        raise ConfigurationError("server.host", host, "is not an address of this machine, such as 127.0.0.1") from None
    except OSError as error:
        cure = f"cannot listen on {host}:{port} ({error.strerror}); stop what does, or choose another port"
        raise ConfigurationError("server.port", port, cure) from None
    listener.set_inheritable(True)
    return listener

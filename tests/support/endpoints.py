"""Endpoints and deliveries for tests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from app.webhooks.outbound.endpoints import Delivery, Endpoint, EndpointStore, Secret
from tests.support.events import THEN, update

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="


def endpoint(id: str = "ep1", client: str = "acme", **changed: Any) -> Endpoint:
    """An endpoint of a partner who sees one account."""
    given: dict[str, Any] = {
        "url": "https://hooks.example.com/tradegraph",
        "document": "sha256:1",
        "customers": ("CUST-0001",),
        "secrets": (Secret(value=SECRET),),
        "created": THEN,
    }
    return Endpoint(id=id, client=client, **{**given, **changed})


def delivery(cursor: str, thing: str = "", **changed: Any) -> Delivery:
    """A delivery that waits for its second attempt."""
    given: dict[str, Any] = {
        "endpoint": "ep1",
        "update": update(thing or cursor),
        "attempts": 1,
        "first_at": THEN,
        "next_at": THEN + timedelta(seconds=5),
        "cause": "HTTP 500",
    }
    return Delivery(cursor=cursor, **{**given, **changed})


async def put(store: EndpointStore, *endpoints: Endpoint) -> None:
    """Keep endpoints as they are, whatever else was written meanwhile."""
    for one in endpoints:
        await store.put(one, since=await store.generation())

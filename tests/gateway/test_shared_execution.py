"""One execution of an event for all subscribers that get the same response."""

from __future__ import annotations

from app.auth.principal import Principal, Role
from app.execution.engine import Request
from app.gateway.shared_execution import sharing_key
from tests.support.graphs import small_engine

BUYER = Principal("buyer", frozenset({Role.BUYER}))
TICKS = "subscription { ticks(first: 1) { number } }"


def test_subscribers_of_one_document_share():
    engine = small_engine()
    first, second = (engine.prepare(Request(TICKS)) for _ in range(2))
    assert sharing_key(first, BUYER) == sharing_key(second, BUYER)


def test_documents_never_share_though_their_objects_have_one_address():
    keys = {sharing_key(small_engine().prepare(Request(TICKS)), BUYER) for _ in range(50)}
    assert len(keys) == 50

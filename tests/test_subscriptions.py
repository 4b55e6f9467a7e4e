"""Who may open a stream: the policy, trusted documents and arguments, over the transports of a whole gateway."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from app.auth.principal import Role
from app.sandbox import Sandbox
from app.settings import DocumentSettings
from tests.gateway import BUYER, OTHER_BUYER, document, gateway, signed

FINANCE = signed(Role.FINANCE)
PARTNER = signed(Role.PARTNER, "CUST-0001")
TEXT = document("shipment_updates")


async def streamed(client: httpx.AsyncClient, who: dict[str, str], variables: dict[str, Any]) -> Any:
    """The first error of a stream of server-sent events."""
    response = await client.post(
        "/graphql", json={"query": TEXT, "variables": variables}, headers={**who, "accept": "text/event-stream"}
    )
    (answer,) = [line[6:] for line in response.text.split("\n") if line.startswith("data: {")]
    return json.loads(answer)["errors"][0]


async def socketed(client: httpx.AsyncClient, who: dict[str, str], variables: dict[str, Any]) -> Any:
    """The first error of a subscription over a socket."""
    address = f"ws{str(client.base_url)[4:].rstrip('/')}/graphql"
    async with connect(address, subprotocols=["graphql-transport-ws"]) as socket:  # type: ignore[list-item]
        await socket.send(json.dumps({"type": "connection_init", "payload": who}))
        assert json.loads(await socket.recv()) == {"type": "connection_ack"}
        payload = {"query": TEXT, "variables": variables}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        answer = json.loads(await socket.recv())
    assert (answer["id"], answer["type"]) == ("1", "error")
    return answer["payload"][0]


ASKED = [
    pytest.param(FINANCE, {}, "FORBIDDEN", id="a role that sees no shipments"),
    pytest.param(BUYER, {"customer": {}}, "BAD_USER_INPUT", id="a key without a value"),
    pytest.param(BUYER, {"customer": 7}, "BAD_USER_INPUT", id="a key of the wrong type"),
    pytest.param(BUYER, {"customer": {"number": "CUST-0001"}}, "NOT_SUPPORTED", id="no log of events yet"),
]


@pytest.mark.parametrize("ask", [streamed, socketed])
@pytest.mark.parametrize(("who", "variables", "code"), ASKED)
async def test_stream_is_refused_with_a_code(
    dated_sandbox: Sandbox, ask: Any, who: dict[str, str], variables: dict[str, Any], code: str
) -> None:
    async with gateway(dated_sandbox) as graph:
        assert (await ask(graph.client, who, variables))["extensions"]["code"] == code


@pytest.mark.parametrize("ask", [streamed, socketed])
async def test_partner_opens_no_stream_by_text(dated_sandbox: Sandbox, ask: Any) -> None:
    async with gateway(dated_sandbox, documents=DocumentSettings()) as graph:
        assert (await ask(graph.client, PARTNER, {}))["extensions"]["code"] == "TRUSTED_DOCUMENT_REQUIRED"
        assert (await ask(graph.client, OTHER_BUYER, {}))["extensions"]["code"] == "NOT_SUPPORTED"

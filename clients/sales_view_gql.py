"""The sales view over Python's `gql`, checked against the schema before it is sent.

    GRAPH_URL=http://127.0.0.1:8000/graphql GRAPH_TOKEN=... python clients/sales_view_gql.py CUST-0001

Prints the customer and its orders as one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from gql import Client, GraphQLRequest
from gql.transport.httpx import HTTPXAsyncTransport

HERE = Path(__file__).resolve().parent


async def main(number: str) -> None:
    """Ask for one customer."""
    transport = HTTPXAsyncTransport(
        url=os.environ["GRAPH_URL"], headers={"Authorization": f"Bearer {os.environ['GRAPH_TOKEN']}"}
    )
    schema = (HERE.parent / "schema.graphql").read_text()
    request = GraphQLRequest(
        (HERE / "documents" / "sales_view.graphql").read_text(),
        variable_values={"customer": {"number": number}, "orders": 5},
    )
    async with Client(transport=transport, schema=schema) as session:
        customer = (await session.execute(request))["customer"]
    orders = [
        {"number": edge["node"]["number"], "lines": len(edge["node"]["lines"])} for edge in customer["orders"]["edges"]
    ]
    print(json.dumps({"number": customer["number"], "name": customer["name"], "orders": orders}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2] or ["CUST-0001"]))

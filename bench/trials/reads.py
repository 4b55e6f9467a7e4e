"""What is asked, by whom, and what is true: the consumers' documents for several customers, each with its own token."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from app.auth.principal import Role
from tests.support.gateway import document, signed

CUSTOMERS = [f"CUST-{number:04}" for number in range(1, 25)]

ABOUT = """query About($customer: CustomerKey!) { customer(by: $customer) { orders(first: 3) { nodes {
  number lines { item { sku } } } } } }"""


@dataclass(frozen=True)
class Read:
    """One request, and its right answer."""

    name: str
    customer: str
    body: bytes
    headers: Mapping[str, str]
    truth: Any


def headers_of(customer: str) -> dict[str, str]:
    """Of a buyer of this customer."""
    return signed(Role.BUYER_ADMIN, customer) | {"content-type": "application/json"}


async def ask(client: httpx.AsyncClient, body: bytes, headers: Mapping[str, str]) -> Any:
    """The answer, decoded."""
    return (await client.post("/graphql", content=body, headers=dict(headers))).json()


def body_of(query: str, variables: Mapping[str, Any]) -> bytes:
    """A request's body."""
    return json.dumps({"query": query, "variables": variables}).encode()


async def true_reads(client: httpx.AsyncClient, customers: Sequence[str] = CUSTOMERS) -> list[Read]:
    """The reads, with what a gateway answers to each that keeps nothing and whose sources are well."""
    found = await asyncio.gather(*(_of(client, customer) for customer in customers))
    return list(itertools.chain.from_iterable(found))


async def _of(client: httpx.AsyncClient, customer: str) -> list[Read]:
    headers, key = headers_of(customer), {"number": customer}
    about = await ask(client, body_of(ABOUT, {"customer": key}), headers)
    orders = about["data"]["customer"]["orders"]["nodes"]
    skus = list(dict.fromkeys(line["item"]["sku"] for order in orders for line in order["lines"]))[:20]
    lines = [{"item": {"sku": sku}, "quantity": "3"} for sku in skus[:5]]
    asked: dict[str, Mapping[str, Any]] = {
        "sales_view": {"customer": key, "orders": 20},
        "customer_card": {"customer": key},
        "item_list": {"skus": skus, "customer": key},
        "order_tracking": {"order": {"number": orders[0]["number"]}},
        "price_and_availability": {"customer": key, "lines": lines},
    }
    reads: list[Read] = []
    for name, variables in asked.items():
        body = body_of(document(name), variables)
        truth = await ask(client, body, headers)
        if set(truth.get("data") or ()) == set() or any(value is None for value in truth["data"].values()):
            raise RuntimeError(f"{name} for {customer}: {str(truth)[:500]}")
        reads.append(Read(name, customer, body, headers, truth))
    return reads

"""A small world behind all ports, made of a seed: its records never change, its failures depend on the method and the
key alone. Whoever asks for what in which batches, the answers are the same.
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from pydantic import SecretStr

from app.auth.link_signing import LinkSigner
from app.auth.policy import ALL_PERMISSIONS
from app.auth.principal import Principal, Role
from app.errors import (
    DeadlineExceeded,
    Forbidden,
    InvalidInput,
    NotSupported,
    SourceMalformed,
    SourceRejected,
    SourceThrottled,
    SourceTimeout,
    SourceUnavailable,
)
from app.intake.price_proofs import PriceProofs
from app.resolvers.loading.context import Context
from app.schema import build_schema, policy_of
from app.settings.proofs import ProofSettings
from app.sources.customers import Customer
from app.sources.items import Item
from app.sources.orders import Order, OrderLine
from app.sources.pipeline.compose import Unserved, compose_port, scope_source
from app.sources.pipeline.routes import Routes
from app.sources.port_registry import PORTS
from app.sources.shipments import Shipment
from app.sources.source import Sources
from app.sources.warehouses import Warehouse
from tests.differential.intakes import Intakes
from tests.differential.keys import CUSTOMERS, KEYS, NOW, ORDERS, SKUS, WAREHOUSES
from tests.differential.logs import Ledger, Updates
from tests.differential.ports import (
    AllWarehouses,
    Balances,
    Billing,
    Commissions,
    Contacts,
    Contents,
    Credit,
    Customers,
    Items,
    Orders,
    Prices,
    Purchases,
    Quotes,
    Receivables,
    Reservations,
    Search,
    Shipments,
    Stock,
)
from tests.differential.records import Maker
from tests.support.ports import source_of

if TYPE_CHECKING:
    from app.sources.downloads import Downloads

ROUTES = Routes("erp", (("CUST-2*", "erp2"),))
FAILURES: tuple[Callable[[], Exception], ...] = (
    lambda: SourceUnavailable("erp", detail="the backend said: secret"),
    lambda: SourceTimeout("shop"),
    lambda: SourceThrottled("erp", retry_after=3),
    lambda: SourceRejected("erp", status=403),
    lambda: SourceMalformed("carrier"),
    DeadlineExceeded,
    NotSupported,
    Forbidden,
    lambda: InvalidInput("That is no such thing."),
    lambda: ValueError("the backend said: secret"),
)
LINK_SIGNER = LinkSigner([b"a secret of the tests, 32 bytes!"], 60)
PRICE_PROOFS = PriceProofs(ProofSettings(keys={"p": SecretStr("a key of the tests, 32 bytes long")}, lifetime=600))
POLICY = policy_of(build_schema())
SEES_ALL = Principal(subject="c", roles=frozenset({Role.CSR, Role.ADMIN}))
OPERATIONS = Principal(subject="o", roles=frozenset({Role.OPERATIONS}))
AGENT = Principal(subject="a", roles=frozenset({Role.AGENT}), agents=frozenset({"AG-1", "AG-2"}))
BUYER = Principal(subject="b", roles=frozenset({Role.BUYER}), customers=frozenset({"CUST-1", "CUST-21", "NOBODY"}))


class World:
    """Every record there is, and what goes wrong. `failure_rate` is how likely a method or a key fails."""

    def __init__(self, seed: int, *, failure_rate: float = 0.0) -> None:
        self.seed = seed
        self.failure_rate = failure_rate
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self._made: dict[Any, Any] = {}
        make = Maker(random.Random(seed), KEYS)
        self.make = make
        self.warehouses = tuple(make.record(Warehouse, code=code) for code in WAREHOUSES)
        self.customers = [make.record(Customer, number=number) for number in CUSTOMERS]
        self.items = [make.record(Item, sku=sku) for sku in SKUS]
        self.shipments = {
            source: [make.record(Shipment, id=str(at), source=source) for at in range(6)]
            for source in ("erp", "carrier")
        }
        self.orders = {
            source: [self._order(source, str(at), number) for at, number in enumerate(ORDERS)]
            for source in ("erp", "erp2", "shop")
        }
        self.intakes = Intakes(self)

    def _order(self, source: str, id_: str, number: str) -> Order:
        lines = tuple(self.make.record(OrderLine, number=at, order=number) for at in range(1, 4))
        return self.make.record(Order, id=id_, source=source, number=number, lines=lines)

    def chance(self, *what: object) -> float:
        """A number of 0 to 1 that belongs to what is named, the same whenever it is asked for."""
        return zlib.crc32(repr((self.seed, *what)).encode()) / 2**32

    def failure(self, *what: object) -> Exception | None:
        """What goes wrong there, if something does."""
        if self.chance("fails", *what) >= self.failure_rate:
            return None
        return FAILURES[int(self.chance("how", *what) * len(FAILURES))]()

    async def asked(self, method: str, keys: Iterable[Any]) -> None:
        """Note a call; take some turns of the loop; fail if the method does."""
        self.calls.append((method, tuple(keys)))
        for _ in range(int(self.chance("turns", method) * 6)):
            await asyncio.sleep(0)
        if (wrong := self.failure(method)) is not None:
            raise wrong

    def known(self, method: str, key: Any) -> bool:
        """Whether a method answers for a key at all."""
        return self.chance("leaves out", method, key) >= self.failure_rate

    def made(self, method: str, key: Any, cls: Any, /, **given: Any) -> Any:
        """A record that belongs to a method and a key."""
        if (method, key) not in self._made:
            maker = Maker(random.Random(zlib.crc32(repr((self.seed, method, key)).encode())), KEYS)
            self._made[method, key] = maker.record(cls, **given)
        return self._made[method, key]


def sources(world: World) -> Sources:
    """The ports of a world, routed and scoped as a gateway's are. Two systems are master, each for some customers."""
    masters = {name: _masters_port(world, name) for name in ("erp", "erp2")}
    connected = {
        "erp": source_of("erp", **masters["erp"], items=Items(world, "erp"), shipments=Shipments(world, "erp")),
        "erp2": source_of("erp2", **masters["erp2"]),
        "shop": source_of("shop", orders=Orders(world, "shop")),
        "carrier": source_of("carrier", shipments=Shipments(world, "carrier")),
    }
    single: dict[str, dict[str, Any]] = {
        "items": {"erp": Items(world, "erp")},
        "contents": {"shop": Contents(world, "shop")},
        "warehouses": {"erp": AllWarehouses(world, "erp")},
        "stock": {"erp": Stock(world, "erp")},
        "reservations": {"shop": Reservations(world, "shop")},
        "balances": {"3PL": Balances(world, "carrier")},
        "shipments": {"erp": Shipments(world, "erp")},
        "billing": {"erp": Billing(world, "erp")},
        "commissions": {"erp": Commissions(world, "erp")},
        "search": {"erp": Search(world, "erp")},
    }
    ports = {port: {name: one[port] for name, one in masters.items()} for port in masters["erp"]} | single
    routes = dict.fromkeys(masters["erp"], ROUTES)
    routes |= {name: Routes(next(iter(own))) for name, own in single.items() if PORTS[name].domain is None}
    composed: dict[str, Any] = {name: compose_port(PORTS[name], routes, own) for name, own in ports.items()}
    scoped: dict[str, Any] = {name: scope_source(source) for name, source in connected.items()}
    return Sources(
        **composed,
        accounts=cast("Any", Unserved("accounts")),
        order_targets=None,
        routes=routes,
        scoped=scoped,
        order_views={"shop": scoped["shop"].orders},
        shipment_views={"carrier": scoped["carrier"].shipments},
        changes={},
        has_contents=True,
        prices_by_agreement=False,
        third_party=frozenset({"3PL"}),
        connected={"erp": replace(connected["erp"], downloads=cast("Downloads", object()))},  # Links are only signed.
        uncached={},
    )


def _masters_port(world: World, name: str) -> dict[str, Any]:
    """The ports of a system that is master of some customers."""
    kinds = {"customers": Customers, "credit": Credit, "prices": Prices, "orders": Orders,
             "receivables": Receivables, "contacts": Contacts, "purchases": Purchases, "quotes": Quotes}  # fmt: skip
    return {port: kind(world, name) for port, kind in kinds.items()}


def context(world: World, principal: Principal, selection: Mapping[str, frozenset[str]]) -> Context:
    """What one run carries."""
    permissions = ALL_PERMISSIONS if principal is SEES_ALL else POLICY.permissions(principal.roles)
    made = Context(principal, permissions, sources(world), NOW, selection)
    made.events, made.ledger, made.intake = Updates(), Ledger(), world.intakes
    made.link_signer, made.price_proofs = LINK_SIGNER, PRICE_PROOFS
    return made

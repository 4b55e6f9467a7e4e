"""The ports of a replica, for the datasets that it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from app.sources.capabilities import Limitation
from app.sources.replica.changes import ReplicaChanges
from app.sources.replica.datasets import Dataset
from app.sources.replica.freshness import FeedAges
from app.sources.replica.items import ReplicaItems
from app.sources.replica.prices import ReplicaPrices
from app.sources.replica.shipments import ReplicaShipments
from app.sources.replica.stock import ReplicaBalances, ReplicaStock
from app.sources.replica.store import ReplicaStore

MISSING = {
    "items.by_customer_part": Limitation(missing="there is no dataset of customers' part numbers"),
    "items.part_numbers": Limitation(missing="there is no dataset of customers' part numbers"),
    "items.relations": Limitation(missing="there is no dataset of relations"),
}


def replica_ports(
    store: ReplicaStore, datasets: Iterable[Dataset], expected: Mapping[str, float], clock: Callable[[], datetime]
) -> dict[str, Any]:
    """The ports by their names in `Source`. `expected` are the seconds in which a dataset is renewed, by name."""
    ages = FeedAges(store.source, expected, clock)
    ports = {
        "stock": ReplicaStock(store, ages, clock),
        "balances": ReplicaBalances(store),
        "items": ReplicaItems(store, ages),
        "prices": ReplicaPrices(store, ages, clock),
        "shipments": ReplicaShipments(store, ages),
    }
    held = {dataset.port for dataset in datasets}
    return {"changes": ReplicaChanges(store), **{name: port for name, port in ports.items() if name in held}}

"""An app that downloads its objects: `python -m bench.trials.sync_client URL TOKEN FILE`.

It stores each page with its cursor in one transaction, prints the number of rows, and continues where it stopped.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import httpx

QUERY = """query Download($after: Cursor) {
  snapshot(first: 500, after: $after) {
    nodes {
      __typename id
      ... on Customer { number name status salesRep paymentTerms { code } billTo { address { city } } }
      ... on Item { sku name itemStatus: status baseUom gtin category }
      ... on Order { orderNumber: number customerPo orderStatus: status orderedAt totals { total { amount currency } } }
      ... on Shipment { trackingNumber carrier shipmentStatus: status orderNumbers shippedAt }
      ... on Invoice { invoiceNumber: number invoiceStatus: status total { amount currency } due }
    }
    cursor hasMore since
  }
}"""
TABLES = """
CREATE TABLE IF NOT EXISTS objects (id TEXT PRIMARY KEY, kind TEXT NOT NULL, times INTEGER NOT NULL DEFAULT 1);
CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), cursor TEXT, ended INTEGER, bytes INTEGER);
INSERT OR IGNORE INTO state VALUES (1, NULL, 0, 0);
"""
STORE = "INSERT INTO objects (id, kind) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET times = times + 1"


def download(url: str, token: str, file: Path) -> None:
    """Download what is missing."""
    store = sqlite3.connect(file)
    store.executescript(TABLES)
    cursor, ended = store.execute("SELECT cursor, ended FROM state").fetchone()
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=60) as client:
        while not ended:
            response = client.post("/graphql", json={"query": QUERY, "variables": {"after": cursor}})
            answer = response.raise_for_status().json()
            if "errors" in answer:
                raise SystemExit(str(answer["errors"][0]))
            page = answer["data"]["snapshot"]
            cursor, ended = page["cursor"], not page["hasMore"]
            with store:
                store.executemany(STORE, [(node["id"], node["__typename"]) for node in page["nodes"]])
                store.execute(
                    "UPDATE state SET cursor = ?, ended = ?, bytes = bytes + ?", (cursor, ended, len(response.content))
                )
            print(len(page["nodes"]), flush=True)
    store.close()


if __name__ == "__main__":
    download(sys.argv[1], sys.argv[2], Path(sys.argv[3]))

"""Ingestion: from a source's change hints to change events in the log.

ingestion.py  accepts hints from webhooks and feeds, detects gaps in a source's sequence
consumer.py   consumes the topics of message brokers
poller.py     polls the sources' change feeds
reconcile.py  what to fetch again when changes may have been missed
worker.py     claims hints, fetches their subjects again, records what changed
refetch.py    how a subject of each kind is fetched, and the event that describes it
"""

from app.events.ingest.ingestion import Ingestion

__all__ = ["Ingestion"]

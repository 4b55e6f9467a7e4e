"""The event log: appended facts, fan-out to subscribers, ingestion, retention."""

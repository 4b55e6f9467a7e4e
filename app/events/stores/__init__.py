"""Stores of the event log: SQLite and Redis."""

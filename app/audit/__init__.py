"""The audit log: its records and its store."""

"""One layer for SQLite and one for Redis, shared by all stores."""

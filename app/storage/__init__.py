"""One layer each for SQLite, Redis and PostgreSQL, shared by all stores."""

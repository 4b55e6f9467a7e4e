"""Trusted documents and persisted queries: lookup, publishing, stores."""

"""Edges and root fields, one file per domain; decisions that span sources."""

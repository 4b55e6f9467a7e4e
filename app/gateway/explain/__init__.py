"""Explain: plans and predicted backend calls of an operation."""

"""Stores of webhook subscriptions."""

"""Admission control: limits, budgets, cost, concurrency."""

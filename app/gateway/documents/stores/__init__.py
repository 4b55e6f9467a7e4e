"""Stores of trusted documents."""

"""Order intake: accepts orders durably, checks them, and posts each to its system of record exactly once."""

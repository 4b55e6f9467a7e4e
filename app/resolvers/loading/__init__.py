"""Loaders, keys, paging and the context that resolvers run in."""

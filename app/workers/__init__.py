"""Worker processes that share one listening socket: their supervisor, the slot of each, and its share of the limits."""

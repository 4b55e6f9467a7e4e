"""The cache of reads, within the freshness contract of each kind of data.

    cache.py             the tiers put together; compiles reads through the cache; invalidation
    read_through.py      one kind of read: hit, refresh ahead, read through, stale while the source fails
    single_flight.py     concurrent reads of a key share one call
    memory.py            the tier of this worker (L1)
    shared_tier.py       the tier of all workers (L2), in Redis; `codec.py` is the form of its entries
    invalidation_bus.py  tells all workers which entries to drop

The cache lies between routing and adapters: an entry is one source's row, whole and without row scope, which is
applied above (`row_scope.py`) to whatever comes from here.
"""

"""What was read is kept for as long as its contract allows: ports wrapped by ports.

    ports.py     a wrapper for each port: which reads are kept, which only shared while they are under way
    shelf.py     one kind of read: what is kept, what is read again, what is answered when its source fails
    flights.py   reads under way: who asks for the same joins them
    memory.py    what this worker keeps (L1)
    shared.py    what all workers keep (L2), in Redis; `codec.py` is its form there
    bus.py       tells all workers what has changed
    watch.py     asks the sources what has changed
    store.py     all of it put together; `app/sources/assembly.py` gets its sources from there

The wrappers stand between routing and adapters: an entry is one source's row, whole and unscoped. Row scope is applied
above (`scoped.py`), to whatever comes from here; a key that is foreign to a caller is dropped before it gets here.
"""

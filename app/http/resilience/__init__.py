"""Protection of a source from the gateway's callers, and of the callers from a failing source.

guard           all of it for one source; `app/http/client.py` asks it before and after each call
breaker         the circuit breaker of one class of calls
bulkhead        concurrency limit, rate limit and weighted fair queueing
caller_classes  the class of a caller: checkout, rep, portal, partner, sync
retries         which reads are retried, when, and the retry budget
hedging         a second request when the first is slow (off unless configured)
adaptive        an adaptive concurrency limit (off unless configured)
latencies       quantiles of recent latencies
state           what an operator sees of it
"""

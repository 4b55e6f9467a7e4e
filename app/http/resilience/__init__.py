"""What protects a source from the gateway's callers, and the callers from a source that is not well.

guard      all of it for one source; `app/http/client.py` asks it before and after each call
breaker    stops calling what fails, and finds out when it is well again
bulkhead   how many calls at once and a second, and who is next when there are more
callers    the class of a caller: checkout, rep, portal, partner, sync
retries    what may be repeated, when, and how often in all
hedging    a second request when the first is late (off unless configured)
adaptive   how many calls at once a source bears, found out (off unless configured)
latencies  how long calls have taken lately
"""

"""`./run trial`: the gateway while things go wrong, measured from outside: real processes on loopback, every answer
compared with the truth.

world      sandbox, Valkey and gateway, with a proxy between the gateway and each of the others
reads      what is asked, by whom, and what is true
judge      whether an answer is whole, honestly incomplete, or wrong
faults     one fault after the other: what it costs
soak       random faults for half an hour
crossing   10,000 requests of 500 customers at once
orders     orders in: workers killed, answers lost, the target away: lost and doubled orders
acceptance orders submitted over HTTP: latency, orders a second, processor time of one
sharing    what workers share: one call for all, changes heard of, hits and calls
"""

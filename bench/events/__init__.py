"""Shipment updates end to end: what comes in by signed webhooks, and what subscribers get of it.

parcels.py      the backend: shipments that move, each step with a number
gateways.py     gateways over it, and what befalls them
webhooks.py     tells the gateway of steps, signed, until it acknowledges
subscribers.py  clients over WebSocket and server-sent events that come back after a lost connection
ledger.py       what was acknowledged and what each subscriber got of it
accountant.py   all of these together, under faults
figures.py      the figures of docs/performance.md
"""

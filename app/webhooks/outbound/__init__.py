"""Webhooks out: updates posted to the endpoints of partners, signed, in order, until they were taken.

    event log ──> Couriers (which worker does which endpoint) ──> Courier ──> Letters (what is said) ──> Poster

What is to be said is a subscription document of the partner, run for each update as for a subscriber on a socket.
"""

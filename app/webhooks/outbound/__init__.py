"""Webhooks out: change events posted to partners' endpoints, signed, in order, retried until delivered.

    event log ──> DeliveryDispatcher (leases endpoints) ──> EndpointWorker ──> PayloadRenderer ──> WebhookSender

A payload is the partner's subscription document, run for each event as for a subscriber on a socket.
"""

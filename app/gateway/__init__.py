"""The gateway: transports, and the service behind all of them."""

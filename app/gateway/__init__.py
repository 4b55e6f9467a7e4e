"""What clients talk to: transports that read requests, and the service that answers them all alike."""

"""The HTTP client for backends: connections, timeouts, errors, resilience."""

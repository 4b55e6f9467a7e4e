"""The outermost layer: connections that cannot be held for nothing, hosts, origins, and what every answer carries."""

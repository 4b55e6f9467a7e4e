"""The peers: other servers that answer the same documents over the same upstream."""

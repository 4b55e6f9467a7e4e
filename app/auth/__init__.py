"""Authentication and authorization: credentials, principals, policy."""

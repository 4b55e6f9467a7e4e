"""Who asks: the principal, and how a credential becomes one."""

"""Sources: one port per domain, the read pipeline around the ports, one folder per vendor adapter."""

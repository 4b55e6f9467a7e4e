"""uvicorn's protocols with limits, and the outermost ASGI middleware: hosts, origins, security headers."""

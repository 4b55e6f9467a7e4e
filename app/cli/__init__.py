"""Commands of `./run` and `tradegraph`."""

from app.cli.main import app, main

__all__ = ["app", "main"]

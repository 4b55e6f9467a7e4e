"""What `./run` and `tradegraph` can be told to do."""

from app.cli.main import app, main

__all__ = ["app", "main"]

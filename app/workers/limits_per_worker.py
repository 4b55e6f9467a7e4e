"""Limits of sources hold for all workers together; each worker gets its share."""

from __future__ import annotations

from app.errors import ConfigurationError
from app.settings import Settings, SourceSettings


def divide_limits(settings: Settings, workers: int) -> Settings:
    """The settings of one of so many workers. Raises ConfigurationError where a source's `concurrency` is below the
    number of workers."""
    sources = {name: _part(name, source, workers) for name, source in settings.sources.items()}
    return settings.model_copy(update={"sources": sources})


def _part(name: str, source: SourceSettings, workers: int) -> SourceSettings:
    if source.concurrency < workers:
        cure = f"is fewer than the {workers} workers, each of which needs a place; raise it, or lower server.workers"
        raise ConfigurationError(f"sources.{name}.concurrency", source.concurrency, cure)
    limits = source.limits
    if limits.rate is not None:
        part = {"rate": limits.rate / workers, "burst": max(limits.burst // workers, 1)}
        limits = limits.model_copy(update=part)
    return source.model_copy(update={"concurrency": source.concurrency // workers, "limits": limits})

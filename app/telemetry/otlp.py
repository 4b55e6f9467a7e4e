"""Exports spans by OTLP. Needs the extra `tradegraph[otel]`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

from app.errors import ConfigurationError
from app.telemetry.tracing import set_tracer

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

TIMEOUT = 5.0
"""Seconds that an export may take, and so a shutdown with a collector that does not answer."""


class SpanExport:
    """Exports spans from `start` to `stop` in a thread. Spans that the collector does not accept in time are lost;
    operations never wait. Raises ConfigurationError where the extra is not installed."""

    def __init__(
        self,
        endpoint: str,
        *,
        headers: Mapping[str, str],
        service_name: str,
        sampling_ratio: float,
        resource_attributes: Mapping[str, str],
    ) -> None:
        try:
            import opentelemetry.exporter.otlp.proto.http
            import opentelemetry.sdk.trace  # noqa: F401 - both are found out before anything is served
        except ImportError:
            cure = "needs packages that are not installed: pip install 'tradegraph[otel]'"
            raise ConfigurationError("telemetry.otlp_endpoint", endpoint, cure) from None
        self._endpoint = endpoint
        self._headers = dict(headers)
        self._ratio = sampling_ratio
        self._resource = {
            "service.version": distribution_version(),
            **resource_attributes,
            "service.name": service_name,
        }
        self._provider: TracerProvider | None = None

    def start(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

        exporter = OTLPSpanExporter(f"{self._endpoint}/v1/traces", headers=self._headers, timeout=TIMEOUT)
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(self._ratio)),
            resource=Resource.create(dict(self._resource)),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        set_tracer(self._provider.get_tracer("tradegraph", distribution_version()))

    def stop(self) -> None:
        """Flush and stop tracing. Blocks."""
        set_tracer(None)
        if self._provider is not None:
            self._provider.shutdown()


def distribution_version() -> str:
    """The version of the distribution, if it is installed as one."""
    try:
        return version("tradegraph")
    except ImportError:
        return "unknown"

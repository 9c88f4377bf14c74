"""OpenTelemetry traces: FastAPI's span of each request, with a span for each of its stages.

The SDK (`pip install --editable '.[otel]'`) is loaded only if KINOLEX_OTLP_ENDPOINT is set.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastapi.telemetry import TelemetryConfig

from app.errors import TracingNotInstalled

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

_TRACES_PATH = "/v1/traces"


class Tracing:
    """Exports spans in the background; `close` exports the last ones."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("kinolex")

    @classmethod
    def to_endpoint(cls, endpoint: str) -> "Tracing":
        """Return a Tracing to an OTLP collector over HTTP. Raises TracingNotInstalled."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ImportError as error:
            raise TracingNotInstalled(
                "KINOLEX_OTLP_ENDPOINT needs OpenTelemetry: pip install --editable '.[otel]'"
            ) from error
        address = endpoint.rstrip("/")
        if not address.endswith(_TRACES_PATH):
            address += _TRACES_PATH
        return cls.to_exporter(OTLPSpanExporter(endpoint=address))

    @classmethod
    def to_exporter(cls, exporter: "SpanExporter") -> "Tracing":
        """Return a Tracing to this exporter."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider = TracerProvider(resource=Resource.create({"service.name": "kinolex"}))
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return cls(provider)

    @property
    def fastapi_settings(self) -> TelemetryConfig:
        """The value of `FastAPI(telemetry=...)`: spans of requests, nothing else."""
        return {
            "tracer_provider": self._provider,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
        }

    def begin_request(self, request_id: str) -> None:
        """Set the id on the request's span, and remove the query, which may be private."""
        from opentelemetry import trace

        span = trace.get_current_span()
        span.set_attribute("kinolex.request_id", request_id)
        span.set_attribute("url.query", "")

    def end_request(self, intervals: Sequence[tuple[str, int, int]]) -> None:
        """Add a span for each stage (name, start, end; nanoseconds) under the request's span."""
        for stage, start, end in intervals:
            self._tracer.start_span(stage, start_time=start).end(end)

    def close(self) -> None:
        """Export the remaining spans; may block for a few seconds."""
        self._provider.shutdown()

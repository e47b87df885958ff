"""The exporter over gRPC, with an encoder of our own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan

from .encoding import Encoder


class GrpcExporter(OTLPSpanExporter):
    """As the library's, but for what encodes."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._encoder = Encoder()

    def _translate_data(self, data: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
        return self._encoder.encode(data)

"""Log lines as OTLP has them: set up when OTEL_LOGS_EXPORTER asks for it, sent in a thread, in batches."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context, get_current
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    ConsoleLogRecordExporter,
    LogRecordExporter,
    LogRecordExportResult,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan

from . import active, names
from .delivering import ENDING_S, GIVEN_UP_S, Say, close_within, hush
from .exporters import Exporters
from .variables import is_reachable, wanted

log = structlog.get_logger(__name__)

FIELDS = {
    "flock": names.FLOCK,
    "run": names.RUN_ID,
    "actor": names.ACTOR,
    "agent": names.AGENT_NAME,
    "delivery": names.DELIVERY,
}
"""What fields of a line are called. The others keep their names."""
SEVERITIES = (
    (logging.CRITICAL, SeverityNumber.FATAL, "FATAL"),
    (logging.ERROR, SeverityNumber.ERROR, "ERROR"),
    (logging.WARNING, SeverityNumber.WARN, "WARN"),
    (logging.INFO, SeverityNumber.INFO, "INFO"),
)


class WatchedLogs(LogRecordExporter):
    """An exporter whose failures are said once, and which raises nothing."""

    def __init__(self, exporter: LogRecordExporter, place: str, say: Say) -> None:
        self._exporter = exporter
        self._place = place
        self._say: Say | None = say
        self.exported = 0
        self.failing = False

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        try:
            result = self._exporter.export(batch)
        except Exception as error:
            log.debug("an exporter raised", error=repr(error))
            result = LogRecordExportResult.FAILURE
        self.failing = result is not LogRecordExportResult.SUCCESS
        if self.failing:
            self.tell(f"logs cannot be sent to {self._place}: the work goes on without them")
        else:
            self.exported += len(batch)
        return result

    def lose(self, lines: int) -> None:
        """So many had no room, or no time."""
        self.tell(f"logs are incomplete: {lines:,} lines could not be sent to {self._place} in time")

    def tell(self, what: str) -> None:
        """Say it, unless something was said before."""
        if self._say is not None:
            self._say(what)
            self._say = None

    def shutdown(self) -> None:
        shutdown: Callable[[], object] = self._exporter.shutdown  # has no types
        shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class Logs:
    """Sends lines away. To be closed before the process ends."""

    def __init__(self, provider: LoggerProvider, exporting: Sequence[WatchedLogs]) -> None:
        self._provider = provider
        self._exporting = exporting
        self._sent = 0

    def send(self, record: logging.LogRecord, said: str, fields: Mapping[str, Any]) -> None:
        """A line on its way: what it says and its fields are shown as they are given."""
        severity, text = _severity_of(record.levelno)
        attributes = {FIELDS.get(name, name): value for name, value in fields.items() if value is not None}
        self._sent += 1
        self._provider.get_logger(record.name).emit(
            LogRecord(
                timestamp=int(record.created * 1e9),
                context=_context_of(fields.get("run")),
                severity_number=severity,
                severity_text=text,
                body=said,
                attributes=attributes,
            )
        )

    def close(self) -> None:
        """Send what is left: within three seconds, or not at all where nobody takes it."""
        gone = "otlp" in wanted("logs") and not is_reachable("logs")
        failing = gone or any(each.failing for each in self._exporting)
        close_within([self._provider.shutdown], GIVEN_UP_S if failing else ENDING_S)

    def tell_of_lost(self) -> None:
        """Say it, if some lines have not got away."""
        for each in self._exporting:
            if (lost := self._sent - each.exported) > 0:
                each.lose(lost)


def set_up_logs(exporters: Sequence[str], resource: Resource, say: Say | None) -> Logs | None:
    """Send log lines by these exporters; None, and a word of it, where there is none that can be had. `say` tells
    people what goes wrong, once; None where another process tells them."""
    heard = say or log.info
    made: list[WatchedLogs] = []
    for name in exporters:
        exporter = LOGS.make(name, heard)
        if exporter is not None:
            made.append(WatchedLogs(exporter, LOGS.place(name), heard))
    if not made:
        return None
    provider = LoggerProvider(resource, shutdown_on_exit=False)
    try:
        for each in made:
            provider.add_log_record_processor(BatchLogRecordProcessor(each))
    except ValueError as error:  # a variable holds what it cannot be: the work does not depend on it
        heard(f"logs cannot be exported: {error}")
        return None
    hush()
    return Logs(provider, made)


def _console() -> LogRecordExporter:
    return ConsoleLogRecordExporter(out=sys.stderr)


def _grpc(timeout: int | None) -> LogRecordExporter:
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter

    return OTLPLogExporter(timeout=timeout)


def _http(timeout: int | None) -> LogRecordExporter:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

    return OTLPLogExporter(timeout=timeout)


LOGS = Exporters("logs", _console, _grpc, _http)


def _severity_of(level: int) -> tuple[SeverityNumber, str]:
    return next(
        ((number, text) for least, number, text in SEVERITIES if level >= least), (SeverityNumber.DEBUG, "DEBUG")
    )


def _context_of(run: Any) -> Context:
    """Where one is; outside of any span, in the run's own."""
    here = get_current()
    if active.tracing is None or trace.get_current_span(here).get_span_context().is_valid:
        return here
    root = active.tracing.root_of(run)
    return here if root is None else trace.set_span_in_context(NonRecordingSpan(root), here)

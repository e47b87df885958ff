"""Lines that are exported: as they are logged, without secrets and content, told apart into fields."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any

import structlog

from .failure import tell

Send = Callable[[logging.LogRecord, str, Mapping[str, Any]], object]
"""Takes a line: its record, what it says, and its other fields."""
OWN_FIELDS = ("timestamp", "level", "logger", "trace_id", "span_id")
"""Fields for which a line that is exported has a place of its own."""


class DiscreetHandler(logging.Handler):
    """Does not show a line that it cannot write: nobody has taken out of it what must not be seen."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[0] or Exception
        tell(f"a line of {record.name} could not be logged ({error.__name__})")


class ExportHandler(DiscreetHandler):
    """Hands each line over, to be sent by somebody else, later."""

    def __init__(self, send: Send, line: Iterable[Any], make_safe: Any) -> None:
        """`line` makes a line of a record, `make_safe` takes out of it what nobody may see."""
        super().__init__()
        self._send = send
        self._make_safe = make_safe
        self.formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=list(line), processors=[self._hand_over])
        self.addFilter(_is_nobodys_export)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.format(record)
        except Exception:
            self.handleError(record)

    def _hand_over(self, logger: Any, method: str, line: MutableMapping[str, Any]) -> str:
        record: logging.LogRecord = line.pop("_record")
        line.pop("_from_structlog", None)
        error = _error_of(line.pop("exc_info", None))
        if error is not None:
            line["exception.type"] = type(error).__qualname__
            line["exception.message"] = str(error)
            line["exception.stacktrace"] = "".join(traceback.format_exception(error))
        for name in OWN_FIELDS:
            line.pop(name, None)
        line = self._make_safe(logger, method, line)
        self._send(record, str(line.pop("event", "")), line)
        return ""


def _error_of(exc_info: Any) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1]  # type: ignore[no-any-return]  # as logging has it
    return sys.exc_info()[1] if exc_info else None


def _is_nobodys_export(record: logging.LogRecord) -> bool:
    """What is said while telemetry is exported would be exported in its turn, and so on for ever."""
    context = sys.modules.get("opentelemetry.context")
    return context is None or not context.get_value("suppress_instrumentation")

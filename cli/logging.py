"""Logging of the `roost` command: to standard error, for people on a terminal and as JSON lines for all others."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Generator, Iterable, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog

from roost.otel import active

from .exported_lines import DiscreetHandler, ExportHandler, Send
from .failure import remember_secrets, safe
from .json_lines import dump_safely

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
CONTENT = frozenset({"content", "text", "raw", "body", "data", "prompt", "messages"})
"""Names under which what a note holds might come: it is never logged."""
TELLING_ALL = ("openai", "httpcore", "httpcore2")
"""Loggers of libraries that tell what they send and get, cookies too, when they tell everything."""
DEEPEST = 8
"""Levels of what is logged that are looked through for secrets; below, it is told as text."""

LARGEST = 2**63
"""Numbers from here on are told as text: not every format has them."""


class ErrorHandler(DiscreetHandler, logging.StreamHandler[TextIO]):
    """Writes to standard error."""

    def silence(self, names: Iterable[str]) -> None:
        """What these loggers say is not written here."""
        untold = frozenset(names)
        self.addFilter(lambda record: record.name not in untold)


def set_up_logging(*, verbose: int = 0, as_json: bool = False) -> None:
    """Warnings and worse; with `verbose` 1 also what is done, with 2 everything.

    Lines of structlog and of the standard library's logging look alike. Every line has what is bound in structlog's
    context variables: flock, run, actor, delivery; and the trace and span in which it was said.
    """
    remember_secrets()
    level = LEVELS[min(verbose, len(LEVELS) - 1)]
    processors: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if as_json or not sys.stderr.isatty():
        processors += [structlog.processors.format_exc_info, make_safe, _render_json]
    else:
        processors += [make_safe, structlog.dev.ConsoleRenderer(exception_formatter=_write_traceback)]
    handler = ErrorHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=list(LINE), processors=processors))
    handler.setLevel(level)
    _handle([handler, *(each for each in logging.getLogger().handlers if isinstance(each, ExportHandler))])
    for name in TELLING_ALL:
        logging.getLogger(name).setLevel(max(level, logging.INFO))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *LINE,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


@contextmanager
def exporting_lines(send: Send) -> Generator[None]:
    """What is done, and warnings and worse, is sent as well while the block runs, whatever standard error is told."""
    root = logging.getLogger()
    handler = ExportHandler(send, LINE, make_safe)
    handler.setLevel(logging.INFO)
    _handle([*root.handlers, handler])
    try:
        yield
    finally:
        _handle([each for each in root.handlers if each is not handler])


def _handle(handlers: list[logging.Handler]) -> None:
    root = logging.getLogger()
    root.handlers = handlers
    root.setLevel(min((each.level for each in handlers), default=logging.WARNING))


def silence(*names: str) -> None:
    """What these loggers say goes to no terminal. Where lines are exported, it still is."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, ErrorHandler):
            handler.silence(names)


def _add_trace(logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Where one is; outside of any span, in the run's own. Where nobody makes traces: nothing, at no cost."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return line
    context = api.get_current_span().get_span_context()
    if not context.is_valid and active.tracing is not None:
        context = active.tracing.root_of(line.get("run"))
    if context is not None and context.is_valid:
        line["trace_id"], line["span_id"] = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    return line


def _drop_content(logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in CONTENT & line.keys():
        line[name] = "(not logged)"
    return line


_PAIRS: Any = dict
_SEVERAL: Any = (list, tuple, set, frozenset)
LINE: tuple[Any, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _add_trace,
    _drop_content,
)
"""What every line is made by."""


def make_safe(logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Names and messages may come from a document or another agent, and go to a terminal; secrets go nowhere."""
    return {name: value if name == "exc_info" else _safe(value, DEEPEST) for name, value in line.items()}


def _safe(value: Any, depth: int) -> Any:
    if isinstance(value, int):
        return value if abs(value) < LARGEST else str(value)
    if value is None or isinstance(value, float):
        return value
    if depth and isinstance(value, _PAIRS):
        return {
            safe(str(name)): "(not logged)" if name in CONTENT else _safe(each, depth - 1)
            for name, each in value.items()
        }
    if depth and isinstance(value, _SEVERAL):
        return [_safe(each, depth - 1) for each in value]
    return safe(str(value))


def _write_traceback(to: TextIO, exc_info: Any) -> None:
    to.write("\n" + safe("".join(traceback.format_exception(*exc_info)).rstrip()))


def _render_json(logger: Any, method: str, line: MutableMapping[str, Any]) -> str:
    return dump_safely(dict(line))

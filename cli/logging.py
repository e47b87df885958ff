"""Logging of the `roost` command: to standard error, for people on a terminal and as JSON lines for all others."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from .failure import safe
from .json_lines import dump_safely

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
CONTENT = frozenset({"content", "text", "raw", "body", "data", "prompt"})
"""Names under which what a note holds might come: it is never logged."""


def set_up_logging(*, verbose: int = 0, as_json: bool = False) -> None:
    """Warnings and worse; with `verbose` 1 also what is done, with 2 everything.

    Lines of structlog and of the standard library's logging look alike. Every line has what is bound in structlog's
    context variables: flock, run, actor, delivery.
    """
    level = LEVELS[min(verbose, len(LEVELS) - 1)]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _drop_content,
    ]
    processors: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if as_json or not sys.stderr.isatty():
        processors += [structlog.processors.format_exc_info, _make_safe, _render_json]
    else:
        processors += [_make_safe, structlog.dev.ConsoleRenderer(exception_formatter=_write_traceback)]
    handler = logging.StreamHandler()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=processors))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _drop_content(logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in CONTENT & line.keys():
        line[name] = "(not logged)"
    return line


def _make_safe(logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Names and messages may come from a document or another agent, and go to a terminal."""
    return {name: safe(value) if isinstance(value, str) else value for name, value in line.items()}


def _write_traceback(to: TextIO, exc_info: Any) -> None:
    to.write("\n" + safe("".join(traceback.format_exception(*exc_info)).rstrip()))


def _render_json(logger: Any, method: str, line: MutableMapping[str, Any]) -> str:
    return dump_safely(dict(line))

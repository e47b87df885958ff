"""Telemetry of a command: set up when the OTEL_* variables ask for it, sent off before the command ends."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .failure import tell

if TYPE_CHECKING:
    from roost.otel.logs import Logs


@contextmanager
def telemetry(flock: str | None = None, *, quiet: bool = False) -> Generator[None]:
    """Traces are made, metrics counted and logs sent in this block, if they are asked for. `quiet`: the parent process
    says what goes wrong."""
    if not any(name.startswith("OTEL_") for name in os.environ):
        yield
        return
    from roost.otel.setup import set_up
    from roost.streams import Settings

    flock = Settings.read(flock=flock).flock
    logs = _set_up_logs(flock, quiet)
    told = set_up(flock=flock, say=None if quiet else tell)
    try:
        if logs is None:
            yield
            return
        from .logging import exporting_lines

        told.closing.append(logs.close)
        with exporting_lines(logs.send):
            yield
    finally:
        told.close()
        if logs is not None:
            logs.tell_of_lost()


def _set_up_logs(flock: str, quiet: bool) -> Logs | None:
    from roost.otel.variables import wanted

    if not (exporters := wanted("logs")):
        return None
    from roost.otel.logs import set_up_logs
    from roost.otel.setup import resource_of

    return set_up_logs(exporters, resource_of(flock=flock), None if quiet else tell)

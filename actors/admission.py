"""Admission: appends wait until the inboxes that their events go to have room."""

from __future__ import annotations

import time
from datetime import timedelta

from roost.streams import InboxFull, SettingsError, Writer
from roost.streams.answer import Answer, Full
from roost.streams.unit import Unit

from .scope import Scope


async def admit(
    scope: Scope, writer: Writer, unit: Unit, *, timeout: timedelta | None = None, refusable: bool = True
) -> Answer:
    """Write a unit in that scope, as soon as there is room for it; any answer but Full.

    Raises InboxFull, and has written nothing, where an inbox refuses instead of letting others wait, and after
    `timeout`. Not `refusable`: what it holds has been worked for, and waits in any case.
    """
    _check(timeout)
    within = scope.reader.inbox is not None
    if scope.reader.inbox is not None:
        unit.within(scope.reader.inbox)
    since: float | None = None
    while True:
        answer = await scope.write(writer, unit)
        if not isinstance(answer, Full):
            return answer
        if answer.refuses and refusable and not within:
            raise InboxFull(answer.inbox, answer.limit)
        now = time.monotonic()
        since = now if since is None else since
        left_s = None if timeout is None else since + timeout.total_seconds() - now
        if left_s is not None and left_s <= 0:
            raise InboxFull(answer.inbox, answer.limit)
        await writer.gates.wait(answer, since, twice=within, limit_s=left_s)


def _check(timeout: object) -> None:
    if timeout is not None and not isinstance(timeout, timedelta):
        raise SettingsError(f"timeout= is a timedelta, such as timedelta(seconds=3): not {timeout!r}")

"""Messages that a server pushes on its sharded channels, through cuts, restarts and moved slots."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

from redis import exceptions as redis

from .client import CommandClient, RawConnection, forget_topology, make_raw_connection
from .errors import Closed
from .unavailable import FAILURES, explain

_log = logging.getLogger("roost.pushes")

Receive = Callable[[bytes | None], None]
"""Takes each message as it comes; None: messages may have been lost, look for yourself."""

QUIET = timedelta(seconds=10)
"""A connection on which nothing has come for that long is asked whether it lives, and given as long again."""
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
"""Seconds between attempts to connect again."""


@dataclass(slots=True)
class _Channel:
    receivers: list[Receive] = field(default_factory=list[Receive])
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)
    was_confirmed: bool = False


class Pushes:
    """One connection, of a client that becomes its own, for the sharded channels of one slot (one shard of a flock).

    It connects when the first channel is subscribed, and again, for ever, after it was cut. It tells every receiver by
    None when it was cut, and again when it is back: what was sent meanwhile is lost. Receivers are plain functions and
    must be quick.
    """

    def __init__(self, client: CommandClient, shown_url: str) -> None:
        self._client = client
        self._shown_url = shown_url
        self._channels: dict[str, _Channel] = {}
        self._connection: RawConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._leaving: Counter[str] = Counter()
        """Channels whose SUNSUBSCRIBE this connection has sent and not yet confirmed."""
        self._closed = False
        self._problem: BaseException | None = None

    @property
    def closed(self) -> bool:
        return self._closed

    def arrive_on(self, channel: str) -> bool:
        """Whether messages of that channel arrive now, as far as this side knows."""
        entry = self._channels.get(channel)
        return entry is not None and entry.confirmed.is_set()

    async def subscribe(self, channel: str, receive: Receive, *, timeout: timedelta = timedelta(seconds=10)) -> None:
        """Returns when the server has confirmed: what is sent from now on reaches `receive`.

        Raises ServerUnavailable if it has not confirmed in time; then `receive` is not subscribed.
        """
        if self._closed:
            raise Closed("this subscription is closed already; open the flock again")
        entry = self._channels.get(channel)
        if entry is None:
            entry = self._channels[channel] = _Channel()
            self._wanted.set()
            await self._send("SSUBSCRIBE", channel)
        entry.receivers.append(receive)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"roost pushes {channel}")
        try:
            await self._until_confirmed(self._task, entry, timeout)
        except BaseException:
            await self.unsubscribe(channel, receive)
            raise

    async def unsubscribe(self, channel: str, receive: Receive) -> None:
        """Does nothing if it was not subscribed."""
        entry = self._channels.get(channel)
        if entry is None or receive not in entry.receivers:
            return
        entry.receivers.remove(receive)
        if not entry.receivers:
            del self._channels[channel]
            self._leaving[channel] += self._connection is not None
            await self._send("SUNSUBSCRIBE", channel)

    async def close(self) -> None:
        self._closed = True
        self._channels.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        await self._client.aclose()

    async def _until_confirmed(self, task: asyncio.Task[None], entry: _Channel, timeout: timedelta) -> None:
        confirmed = asyncio.create_task(entry.confirmed.wait())
        try:
            await asyncio.wait([confirmed, task], timeout=timeout.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
            if entry.confirmed.is_set():
                return
        finally:
            confirmed.cancel()
        if task.done() and not task.cancelled():
            task.result()  # raises what ended it
        raise explain(self._problem or redis.TimeoutError("no confirmation"), self._shown_url)

    async def _send(self, command: str, channel: str) -> None:
        """Sends it if there is a connection; if not, `_run` subscribes to all channels when there is one again."""
        if self._connection is None:
            return
        try:
            await self._connection.send_command(command, channel, check_health=False)
        except FAILURES as error:
            self._problem = error  # the reader sees the same cut, and connects again

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            await self._wanted.wait()
            if not self._channels:
                self._wanted.clear()
                continue
            connection: RawConnection | None = None
            try:
                # 1. Connect to the node that has the channels now, and subscribe to all of them.
                connection = await make_raw_connection(self._client, next(iter(self._channels), ""))
                await connection.connect()
                # From here on `subscribe` sends for itself; no await lies between this line and the list.
                self._connection = connection
                for channel in list(self._channels):
                    await connection.send_command("SSUBSCRIBE", channel, check_health=False)
                # 2. Read until something breaks.
                while True:
                    self._take(await self._read(connection))
                    pause = FIRST_PAUSE
            except FAILURES as error:
                self._problem = error
                _log.debug("pushes of %s were cut: %s", self._shown_url, error)
            finally:
                self._connection = None
                self._leaving.clear()
                for entry in list(self._channels.values()):
                    if entry.confirmed.is_set():
                        entry.confirmed.clear()
                        self._give(entry, None)
                if connection is not None:
                    await connection.disconnect(nowait=True)
            # 3. Wait a little, and ask a cluster where the slot is now.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, LONGEST_PAUSE)
            await self._find_slot_again()

    async def _find_slot_again(self) -> None:
        try:
            await forget_topology(self._client)
        except FAILURES as error:
            self._problem = error

    async def _read(self, connection: RawConnection) -> list[bytes]:
        reply = await connection.read_response(timeout=QUIET.total_seconds())
        if reply is None:
            await connection.send_command("PING", check_health=False)
            reply = await connection.read_response(timeout=QUIET.total_seconds())
        if reply is None:
            raise redis.TimeoutError("no answer to PING")
        return cast("list[bytes]", reply) if isinstance(reply, list) else []  # PONG, when nothing is subscribed

    def _take(self, reply: list[bytes]) -> None:
        if not reply or len(reply) < 3:
            return
        kind, channel = reply[0], reply[1].decode()
        entry = self._channels.get(channel)
        if kind == b"smessage":
            self._give(entry, reply[2])
        elif kind == b"ssubscribe" and entry is not None:
            entry.confirmed.set()
            if entry.was_confirmed:
                self._give(entry, None)
            entry.was_confirmed = True
        elif kind == b"sunsubscribe" and self._leaving[channel]:
            self._leaving[channel] -= 1
        elif kind == b"sunsubscribe":  # nobody here asked for it: the slot has moved to another node
            raise redis.ConnectionError("the server ended the subscription")

    def _give(self, entry: _Channel | None, message: bytes | None) -> None:
        for receive in list(entry.receivers) if entry is not None else ():
            try:
                receive(message)
            except Exception:
                _log.exception("a receiver of pushes failed")

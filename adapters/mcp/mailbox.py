"""A mailbox: what a client with a session is still to be told. It holds each thing once, so it cannot grow."""

from __future__ import annotations

import asyncio

import anyio
import structlog
from mcp.server.session import ServerSession
from mcp.server.subscriptions import ResourcesListChanged, ResourceUpdated, ServerEvent

from roost.actors.ending import end

from .subscriptions import MAX_URIS, NotSubscribable, Subscriptions

log = structlog.get_logger(__name__)


class Mailbox:
    """For clients that subscribe by request and are told on their connection; newer ones listen by themselves."""

    def __init__(self, subscriptions: Subscriptions, session: ServerSession) -> None:
        self._subscriptions = subscriptions
        self._session = session
        self._uris: set[str] = set()
        self._waiting: dict[ServerEvent, None] = {}
        self._filled = asyncio.Event()
        self._stop_hearing = subscriptions.bus.subscribe(self._hear)
        self._sending = asyncio.create_task(self._send(), name="roost mcp mailbox")

    async def subscribe(self, uri: str) -> None:
        """Raises NotSubscribable."""
        if uri in self._uris:
            return
        if len(self._uris) >= MAX_URIS:
            raise NotSubscribable(f"you are subscribed to {MAX_URIS} notes already: unsubscribe from some first")
        self._uris.add(uri)
        try:
            await self._subscriptions.add([uri])
        except BaseException:
            self._uris.discard(uri)
            raise

    def unsubscribe(self, uri: str) -> None:
        if uri in self._uris:
            self._uris.discard(uri)
            self._subscriptions.remove([uri])

    def _hear(self, event: ServerEvent) -> None:
        if isinstance(event, ResourcesListChanged) or (isinstance(event, ResourceUpdated) and event.uri in self._uris):
            self._waiting[event] = None
            self._filled.set()

    async def _send(self) -> None:
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._waiting:
                event = next(iter(self._waiting))
                del self._waiting[event]
                try:
                    if isinstance(event, ResourceUpdated):
                        await self._session.send_resource_updated(event.uri)
                    else:
                        await self._session.send_resource_list_changed()
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    return  # the connection has gone, and its seat soon will

    async def close(self) -> None:
        self._stop_hearing()
        self._subscriptions.remove(sorted(self._uris))
        self._uris.clear()
        await end([self._sending])

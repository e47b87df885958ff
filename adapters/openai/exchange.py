"""A request's way through the memory: found, waited for, or asked of the provider."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any, cast

import httpx2
import structlog

from roost.actors import Flock
from roost.streams import Closed, Note, OutcomeUnknown, RoostError, ServerFull, ServerUnavailable

from .call import Call
from .crowd import Crowd, crowd_of
from .errors import Alone, AnswerNotKept, Unreached
from .kept import KeptAnswer
from .provider import LIMIT, ProviderCall, Send
from .reuse import EXTENSION, How, Reuse, mark
from .sharing import Sharing
from .streams import KnownStream, LiveStream

log = structlog.get_logger(__name__)

AWAY = (ServerUnavailable, ServerFull, OutcomeUnknown, Closed)
"""Errors that the next request would meet, too."""

PROBE = timedelta(seconds=2)
"""Whoever waits for so long looks whether the memory is there at all."""
SETTLE = timedelta(seconds=2)
"""How long an answer that is there waits for its note to be written."""
OF_THE_WIRE = ("content-encoding", "content-length", "transfer-encoding")
"""Headers about bytes that the HTTP client has taken apart already."""

_visits: set[asyncio.Task[Note]] = set()
"""The loop itself would forget them."""


class Exchange:
    """One request. `live` says that the caller reads the body as it comes."""

    def __init__(
        self, flock: Flock, call: Call, sharing: Sharing, request: httpx2.Request, send: Send, *, live: bool
    ) -> None:
        self._flock = flock
        self._call = call
        self._sharing = sharing
        self._request = request
        self._live = live
        self._crowd: Crowd = crowd_of(flock)
        self._provider = ProviderCall(call, send, flock.turnstile, flock.memory.scope.reader.actor, live=live)
        self._started_ms = time.time() * 1000
        self._started = time.monotonic()

    async def respond(self) -> httpx2.Response:
        """The answer. Raises what the HTTP client raises; Unreached or Alone before the provider was asked."""
        visit = asyncio.create_task(self._visit(), name="roost openai")
        _visits.add(visit)
        visit.add_done_callback(self._visited)
        try:
            with self._crowd.waiting(self._call.key) as hopeless:
                await self._wait(visit, hopeless)
            if self._provider.opened.done():
                return await self._answer(visit)
        except BaseException:
            await self._leave(visit)
            raise
        try:
            note = visit.result()
        except AnswerNotKept as told:
            if told.response is None:
                raise Alone from None
            if not self._live:
                await told.response.aread()
            return told.response
        except AWAY as error:
            raise Unreached(error) from error
        except RoostError as error:  # this request's own: the memory is there for others
            log.warning("a call goes past the memory", error=str(error))
            raise Alone from error
        return self._replay(note)

    async def _visit(self) -> Note:
        return await self._flock.memory.once(
            self._call.key, self._provider.compute, ttl=self._sharing.ttl, fresh=self._sharing.fresh,
            tags=("openai",), limit=LIMIT, label=self._call.title,
        )  # fmt: skip

    def _visited(self, visit: asyncio.Task[Note]) -> None:
        _visits.discard(visit)
        error = None if visit.cancelled() else visit.exception()
        if isinstance(error, AnswerNotKept) and error.whole:
            self._crowd.disperse(self._call.key)

    async def _wait(self, visit: asyncio.Task[Note], hopeless: asyncio.Future[None]) -> None:
        """Until there is an answer, or our own call has something to pass on."""
        begun, opened = self._provider.begun, self._provider.opened
        news: set[asyncio.Future[Any]] = {visit, begun, hopeless}
        latest = self._latest()
        while not visit.done() and not begun.done():
            pause = PROBE.total_seconds() if latest is None else min(PROBE.total_seconds(), latest - time.monotonic())
            if pause <= 0:
                if self._live:  # its read timeout is between two pieces, and others' pieces are not seen here
                    raise Alone
                raise httpx2.ReadTimeout("another's call took longer than this one may", request=self._request)
            ended, _ = await asyncio.wait(news, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            if hopeless in ended and not begun.done() and not visit.done():
                raise Alone
            if not ended:
                await self._probe()
        if not visit.done():
            news = {visit, opened}
            await asyncio.wait(news, return_when=asyncio.FIRST_COMPLETED)

    def _latest(self) -> float | None:
        """Until when to wait for somebody else's call: as long as for one's own."""
        timeouts = cast("dict[str, float | None]", self._request.extensions.get("timeout", {}))
        read = timeouts.get("read")
        return None if read is None else self._started + float(read)

    async def _leave(self, visit: asyncio.Task[Note]) -> None:
        """Wait no more. Whoever else waits in this process keeps the computation going."""
        self._provider.left = True
        visit.cancel()
        await asyncio.wait([visit])

    async def _probe(self) -> None:
        try:
            async with asyncio.timeout(PROBE.total_seconds()):
                await self._flock.connection.ping()
        except RoostError as error:
            raise Unreached(error) from error
        except TimeoutError:
            raise Unreached(ServerUnavailable("the server does not answer in time")) from None

    async def _answer(self, visit: asyncio.Task[Note]) -> httpx2.Response:
        """Our own call's answer: the provider's response, or a live one over it."""
        response, reuse = self._provider.opened.result(), Reuse("computed")
        if not self._live:
            await self._settle(visit, reuse)
            response.headers.update(reuse.to_headers())
            response.extensions[EXTENSION] = reuse
            return response

        async def end() -> None:
            # Nothing is waited for that need not be: at its end the event loop closes all generators at once.
            if not (visit.done() or self._provider.is_ending):  # the caller leaves in the middle
                visit.cancel()
                return
            await self._settle(visit, reuse)
            if not (visit.done() or self._provider.is_received):  # all was said, and yet it does not end
                visit.cancel()

        headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in OF_THE_WIRE]
        stream = LiveStream(self._provider, end)
        extensions = {**response.extensions, EXTENSION: reuse}
        return self._make([*headers, *reuse.to_headers().items()], stream, extensions)

    async def _settle(self, visit: asyncio.Task[Note], reuse: Reuse) -> None:
        """Wait for the note, though not for long: the answer is here."""
        if not visit.done():
            await asyncio.wait([visit], timeout=SETTLE.total_seconds())
        if not visit.done() or visit.cancelled():
            return
        error = visit.exception()
        if isinstance(error, RoostError) and not isinstance(error, AnswerNotKept):
            log.warning("an answer could not be kept", model=self._call.label, error=str(error))
        # Whoever is late gets the note of somebody else, which is not what the caller has here.
        if error is None and self._provider.raw == visit.result().raw:
            reuse.note, reuse.usage = visit.result().id, self._provider.usage

    def _replay(self, note: Note) -> httpx2.Response:
        """An answer that is known, as if it came from the provider. Raises Alone when the note is no answer."""
        try:
            kept = KeptAnswer.from_raw(note.raw)
        except ValueError as error:
            log.warning("the key of an answer holds something else", note=note.id, error=str(error))
            raise Alone from error
        how: How = "joined" if note.record.written_ms >= self._started_ms else "found"
        reuse = Reuse(how, note.id)
        body = mark(self._call.endpoint, kept.body, reuse, stream=kept.is_stream)
        headers = [*kept.headers, *reuse.to_headers().items()]
        content = KnownStream(body) if kept.is_stream else body
        return self._make(headers, content, {"http_version": b"HTTP/1.1", EXTENSION: reuse})

    def _make(
        self, headers: list[tuple[str, str]], body: bytes | httpx2.AsyncByteStream, extensions: dict[str, Any]
    ) -> httpx2.Response:
        response = httpx2.Response(
            200, headers=headers, request=self._request, extensions=extensions,
            content=body if isinstance(body, bytes) else None, stream=None if isinstance(body, bytes) else body,
        )  # fmt: skip
        response.elapsed = timedelta(seconds=time.monotonic() - self._started)
        return response

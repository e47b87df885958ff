"""One call to the provider: computed under a claim, and passed on to its caller as it comes in."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, cast

import httpx2

from roost.actors import Computed
from roost.actors.models.openai_errors import retry_after
from roost.actors.traced_calls import calling
from roost.actors.turnstile import Passage, Turnstile
from roost.otel import names

from .call import Call
from .charge import estimated_tokens, work_of
from .endpoint import Endpoint
from .errors import AnswerNotKept
from .kept import KeptAnswer, is_event_stream
from .reading import Reading, read_answer

BUSY = 429
MAX_KEPT_BYTES = 16 * 1024 * 1024
LIMIT = timedelta(hours=2)
"""How long a computation may take: none must end for Roost's sake."""
LONGEST_KEPT = timedelta(hours=1)
"""A stream that goes on for longer is passed on, and not kept."""
IS_DONE = re.compile(rb"[\r\n]data: ?\[DONE\]\s*\Z")
"""At the end of what came in so far. An answer that speaks of it has no line break of its own before it."""
DRAIN_S = 0.1
"""How long to wait for the end of a stream that has said that it is done."""

Send = Callable[[], Awaitable[httpx2.Response]]


class ProviderCall:
    """`compute` is for `once`. With `live`, the answer is passed on piece by piece while it is computed.

    `begun` is done when the provider is being asked; `opened` when there is something for the caller: the head of a
    live answer, or a whole one.
    """

    def __init__(self, call: Call, send: Send, turnstile: Turnstile, agent: str | None, *, live: bool) -> None:
        loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[None] = loop.create_future()
        self.opened: asyncio.Future[httpx2.Response] = loop.create_future()
        self.left = False
        """The caller has gone: what comes in is for others who wait."""
        self.raw: bytes | None = None
        """The answer as its note keeps it."""
        self.usage: dict[str, Any] | None = None
        self._call = call
        self._send = send
        self._turnstile = turnstile
        self._agent = agent
        self._live = live
        self._pieces: list[bytes] = []
        self._size = 0
        self._received = False
        self._failure: BaseException | None = None
        self._rest: AsyncIterator[bytes] | None = None
        self._news = asyncio.Event()

    async def compute(self) -> Computed:
        """The answer as a note keeps it. Raises AnswerNotKept, or what the HTTP client raises."""
        self.begun.set_result(None)
        try:
            tokens = estimated_tokens(self._call)
            async with self._turnstile.passing(self._call.label, tokens, self._agent) as passage:
                return await self._compute(passage)
        except AnswerNotKept as error:
            error.model = self._call.label
            raise

    async def _compute(self, passage: Passage) -> Computed:
        operation = names.EMBEDDINGS if self._call.endpoint is Endpoint.EMBEDDINGS else names.CHAT
        with calling(self._call.label, operation) as call:
            computed = await self._ask(passage)
            call.took(computed.work)
            return computed

    async def _ask(self, passage: Passage) -> Computed:
        response = await self._send()
        if response.status_code == BUSY:
            passage.pause = retry_after(response.headers)
        if response.status_code != 200:
            if self.left:
                await response.aclose()
            raise AnswerNotKept(f"status {response.status_code}", response)
        if self._live:
            await self._pass_on(response)
            body = b"".join(self._pieces)
        else:
            try:
                body = await response.aread()
            finally:
                await response.aclose()
            if len(body) > MAX_KEPT_BYTES:
                raise AnswerNotKept(f"it is larger than {MAX_KEPT_BYTES:,} bytes", response, whole=True)
        reading = self._read(body, response)
        if reading.flaw is not None:
            raise AnswerNotKept(reading.flaw, response, whole=True)
        self.usage = reading.usage
        work = await work_of(self._call, reading)
        passage.tokens = (work.input_tokens or 0) + (work.output_tokens or 0)
        content = KeptAnswer.of(response, body).to_content()
        self.raw = content.encode() if isinstance(content, str) else content
        if not self._live:
            self.opened.set_result(response)
        return Computed(content, work)

    def _read(self, body: bytes, response: httpx2.Response) -> Reading:
        stream = is_event_stream(response.headers.get("content-type", ""))
        given: object = self._call.body.get("input") if self._call.endpoint is Endpoint.EMBEDDINGS else None
        # A list of texts, or of lists of tokens, is so many inputs; a list of tokens is one.
        items = cast("list[object]", given) if isinstance(given, list) else []
        inputs = len(items) if items and not isinstance(items[0], int) else 1
        return read_answer(self._call.endpoint, body, stream=stream, inputs=inputs)

    async def _pass_on(self, response: httpx2.Response) -> None:
        """Take the answer in, piece by piece. Past its bounds the caller reads on by itself, at its own speed."""
        self.opened.set_result(response)
        pieces = response.aiter_bytes()
        latest = time.monotonic() + LONGEST_KEPT.total_seconds()
        done = False
        try:
            while True:
                try:
                    async with asyncio.timeout(DRAIN_S if done else None):
                        piece = await anext(pieces)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    if done:
                        return
                    raise
                self._pieces.append(piece)
                self._size += len(piece)
                self._news.set()
                done = IS_DONE.search(b"".join(self._pieces[-2:])[-64:]) is not None
                if self._size > MAX_KEPT_BYTES or time.monotonic() > latest:
                    self._rest = None if self.left else pieces
                    raise AnswerNotKept("it is too large or too slow", whole=True)
        except AnswerNotKept:
            raise
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self._received = True
            self._news.set()
            if self._rest is None:
                await pieces.aclose()
                await response.aclose()

    async def listen(self) -> AsyncIterator[bytes]:
        """What comes in, from the first piece on, for the one caller. Raises what the provider's stream raises."""
        at = 0
        while True:
            while at < len(self._pieces):
                yield self._pieces[at]
                at += 1
            if self._received:
                break
            self._news.clear()
            await self._news.wait()
        if self._rest is not None:
            async for piece in self._rest:
                yield piece
        elif isinstance(self._failure, asyncio.CancelledError):  # not the caller's own
            raise httpx2.ReadError("the flock was closed while the answer was coming in")
        elif self._failure is not None:
            raise self._failure

    async def leave(self) -> None:
        """The caller listens no more."""
        self.left = True
        if self._rest is not None:
            self._rest = None
            await self.opened.result().aclose()

    @property
    def is_received(self) -> bool:
        return self._received

    @property
    def is_ending(self) -> bool:
        """Whether all has been said, though the stream may not be at its end."""
        if self._received or not self.opened.done():
            return self._received
        return self._read(b"".join(self._pieces), self.opened.result()).ending

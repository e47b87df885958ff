"""The model that needs no key, no server and no network: it picks sentences, it does not reason."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version

from .errors import ModelNotConfigured
from .extraction import extract
from .model import Completion, Request
from .usage import Usage, estimate_tokens

ALGORITHM = 1
"""Raise it with every change that changes an answer: answers are kept under it."""

THREADS = 2


class OfflineModel:
    """Extracts: an answer is whole sentences of the inputs, in their order, nothing else. It does not reason.

    Sentences are ranked by LexRank and by how early they stand, and by the words they share with the question where
    there is one (`ranking.rank` has the weights); instructions, temperature and seed are not read. Where there are
    several inputs, or an input's label is in brackets like `[3]`, each sentence is followed by its input's label. Prose
    comes before table rows and code, these before titles.

    The same request has the same answer in every process. Up to 128 sentences are ranked together; more are ranked in
    blocks of 128 whose best go on to the next round. Over 4 million characters are refused. The work runs in threads,
    two at a time. `latency` is waited for after the work, to look like a model far away; `label` says so.
    """

    name = "offline"

    def __init__(self, *, latency: timedelta | None = None) -> None:
        if latency is not None and latency < timedelta(0):
            raise ModelNotConfigured("the simulated latency is negative: give 0 or more")
        self._latency_s = latency.total_seconds() if latency else 0.0
        self._threads = asyncio.Semaphore(THREADS)

    def __repr__(self) -> str:
        return f"OfflineModel({self.label!r})"

    @property
    def label(self) -> str:
        return f"offline (simulated latency {self._latency_s * 1000:.0f} ms)" if self._latency_s else self.name

    @property
    def identity(self) -> str:
        """The algorithm and the libraries it uses; not the latency, which changes no answer."""
        return _identity()

    def cost(self, usage: Usage) -> Decimal | None:
        return Decimal(0)

    async def complete(self, request: Request) -> Completion:
        """Raises `EmptyAnswer` when the inputs hold no text and `AnswerCutOff` when no sentence fits the limit."""
        started = time.perf_counter()
        await self._threads.acquire()
        work = asyncio.create_task(asyncio.to_thread(extract, request))
        work.add_done_callback(self._release)
        text = await asyncio.shield(work)  # a thread cannot be cancelled: its place is taken until it ends
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        return Completion(
            text=text,
            model=self.name,
            input_tokens=request.estimated_input_tokens(),
            output_tokens=estimate_tokens(text),
            cached_tokens=0,
            cost_usd=Decimal(0),
            tokens_estimated=True,
            duration_ms=(time.perf_counter() - started) * 1000,
        )

    def _release(self, work: asyncio.Task[str]) -> None:
        self._threads.release()
        if not work.cancelled():
            work.exception()  # raised already where it was awaited; if nobody waits any more, nobody misses it

    async def close(self) -> None:
        """Nothing to close."""


@lru_cache(maxsize=1)
def _identity() -> str:
    libraries = " ".join(f"{name}/{version(name)}" for name in ("sumy", "sentencex", "nltk"))
    return f"offline/{ALGORITHM} {libraries}"

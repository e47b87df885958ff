"""Three ways compared: the same agents, one process a question, with memories apart, with a cache, with Roost."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, Literal

import orjson

from roost.projections import Figures, Tally
from roost.streams import Connection, Keys, Log, RoostError, Shard, new_id
from roost.streams.erase import erase_flock

from .keeping import kept_flock
from .order import Order
from .result import accounts
from .sections import Sections

Way = Literal["isolated", "cache", "shared"]
WAYS: tuple[Way, ...] = ("isolated", "cache", "shared")
MAX_QUESTIONS = 16
"""Processes at the same time."""


async def compare(
    order: Order, connection: Connection, tell: Callable[[str], None], *, keep: str | None = None
) -> dict[str, Any]:
    """The documents of the three ways, and how they compare. Their flocks are made for it, and thrown away, but that of
    the shared runs if it is to be kept under a name."""
    asked = order.questions or ("",)
    if len(asked) > MAX_QUESTIONS:
        raise RoostError(f"--compare runs a process for each question, for at most {MAX_QUESTIONS} questions")
    found: dict[str, dict[str, Any]] = {}
    for way in WAYS:
        several = "1 process" if len(asked) == 1 else f"{len(asked)} processes"
        tell(f"{way}: {several}, {_memories(way)}")
        async with _flocks(connection, order, way, asked, keep) as flocks:
            children = [
                _child(order, connection.url, flocks[index % len(flocks)], question, way)
                for index, question in enumerate(asked)
            ]
            documents = await _together(children)
            one = found[way] = await _join(order, connection, flocks, documents, way)
            if way == "shared" and keep is not None:
                one["flock"] = flocks[0]
            tell(f"{way}: {one['model']['calls']:,} model calls in {one['elapsed_s']:.1f} s")
    answers = [[answer["answer"] for answer in found[way]["answers"]] for way in WAYS]
    return {
        **found,
        "ratio": {
            "calls": _ratio(found, "model", "calls"),
            "tokens": _ratio(found, "tokens"),
            "elapsed": _ratio(found, "elapsed_s"),
        },
        "same_answers": all(each == answers[0] for each in answers[1:]) and None not in answers[0],
        "nothing_to_share": len(asked) == 1 and len(order.sources) == 1,
    }


@asynccontextmanager
async def _flocks(
    connection: Connection, order: Order, way: Way, asked: Sequence[str], keep: str | None
) -> AsyncGenerator[list[str]]:
    """Empty ones: for each question if they are isolated, or else one for all."""
    if way == "shared" and keep is not None:
        async with kept_flock(connection, keep, tuple(source.name for source in order.sources)) as kept:
            yield [kept]
        return
    flocks = [f"compare-{new_id()[:8]}-{way}" for _ in (asked if way == "isolated" else asked[:1])]
    try:
        yield flocks
    finally:
        for flock in flocks:
            await erase_flock(connection.client, flock)


def _memories(way: Way) -> str:
    match way:
        case "isolated":
            return "each with a memory of its own"
        case "cache":
            return "one memory: look up, compute, store"
        case "shared":
            return "one memory, the same work done once"


class _Child:
    """A process that makes one of the runs."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._process: asyncio.subprocess.Process | None = None

    async def prepare(self) -> None:
        """Start the process; returns when it is ready to begin."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "roost.cli.run_child", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            limit=256 * 1024 * 1024, process_group=0,  # Ctrl-C is this process's to pass on
        )  # fmt: skip
        stdin, stdout = self._pipes()
        stdin.write(orjson.dumps(self._order) + b"\n")
        await stdin.drain()
        if (await stdout.readline()).strip() != b"ready":
            raise RoostError("a process of the comparison did not start; its reason stands above")

    async def run(self) -> dict[str, Any]:
        """Let it begin; its document."""
        stdin, stdout = self._pipes()
        stdin.write(b"go\n")
        await stdin.drain()
        line = await stdout.readline()
        assert self._process is not None
        code = await self._process.wait()  # with its input open: it takes the end of that for our own
        stdin.close()
        if code != 0 or not line:
            raise RoostError("a process of the comparison failed; its reason stands above")
        document: dict[str, Any] = orjson.loads(line)
        return document

    async def stop(self) -> None:
        """Returns when it has ended: nothing of it must write into a flock that is being erased."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def _pipes(self) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout


def _child(order: Order, url: str, flock: str, question: str, way: Way) -> _Child:
    return _Child(
        {
            "url": url,
            "flock": flock,
            "sources": [asdict(source) for source in order.sources],
            "questions": [question] if question else [],
            "model": order.model,
            "spool": str(order.spool),
            "latency_ms": round(order.latency.total_seconds() * 1000),
            "agents": order.agents,
            "mode": way,
            "allow_private": order.allow_private,
            "prices": order.prices,
            "verbose": order.verbose,
        }
    )


async def _together(children: Sequence[_Child]) -> list[dict[str, Any]]:
    """All begin at the same moment: when the last is ready."""
    try:
        await asyncio.gather(*[child.prepare() for child in children])
        return list(await asyncio.gather(*[child.run() for child in children]))
    finally:
        await asyncio.gather(*[child.stop() for child in children])


async def _join(
    order: Order, connection: Connection, flocks: Sequence[str], documents: Sequence[dict[str, Any]], way: Way
) -> dict[str, Any]:
    """The runs of one way as one document; its figures from their logs, its time from the first event to the last."""
    tallies, first_ms, last_ms = Tally(), 0, 0
    sections = Sections()
    for flock in flocks:
        log = Log(Shard(connection.client, Keys(flock)))
        async for event in log.read():
            tallies.evolve(event)
            sections.evolve(event)
            assert event.position is not None
            first_ms, last_ms = min(first_ms or event.position.ms, event.position.ms), max(last_ms, event.position.ms)
    figures: Figures = tallies.figures()
    account = accounts(figures, label=documents[0]["model"]["name"])
    return {
        "run": documents[0]["run"],
        "runs": [document["run"] for document in documents],
        "mode": way,
        "documents": len(order.sources),
        "sections": len(sections),
        "report": _one_report([document["report"] for document in documents]),
        "answers": [answer for document in documents for answer in document["answers"]],
        "missing": [each for document in documents for each in document["missing"]],
        **account,
        "tokens": account["model"]["input_tokens"] + account["model"]["output_tokens"],
        "elapsed_s": round((last_ms - first_ms) / 1000, 3),
    }


def _one_report(reports: Sequence[str | None]) -> str:
    """Reports under one heading."""
    return "# Report\n" + "\n".join((report or "").removeprefix("# Report\n") for report in reports)


def _ratio(found: dict[str, dict[str, Any]], *path: str) -> float | None:
    """Of shared to isolated."""
    shared: Any = found["shared"]
    isolated: Any = found["isolated"]
    for name in path:
        shared, isolated = shared[name], isolated[name]
    return round(shared / isolated, 3) if isolated else None

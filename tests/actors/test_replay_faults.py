"""Runs that come to the same again, whatever happened around them: no alarm is false."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from roost_tests.crew import events_of
from roost_tests.site import Page, serving
from roost_tests.spans import traced
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, Retry, current_flock, on
from roost.actors.documents.errors import DocumentError
from roost.actors.replay.recording import Recording
from roost.openai import AsyncOpenAI
from roost.streams import Event, Position, RoostError
from roost.streams import event as declare
from roost.streams.encryption.keyholder import Keyholder, keyholder

RUN = "run-with-faults"
LARGE = "large " * 20_000


@declare("faults.asked")
@dataclass(frozen=True, slots=True)
class Asked:
    n: int


@declare("faults.told")
@dataclass(frozen=True, slots=True)
class Told:
    n: int
    what: str
    at: datetime | None = None
    share: float = 0.0


@dataclass(frozen=True)
class Seen:
    count: int = 0


async def run(flock: Flock, *actors: Actor, count: int, peers: tuple[Flock, ...] = ()) -> None:
    """So many events, handled by these in one flock, or in several that are the same."""
    async with AsyncExitStack() as working:
        for each in (flock, *peers):
            await working.enter_async_context(each.work(*actors, run=RUN))
        for n in range(count):
            await flock.append(Asked(n), run=RUN)

        async def settled() -> bool:
            ended = await events_of(flock, "delivery.handled", "delivery.parked")
            return len({(event.actor, event.cause) for event in ended}) >= count * len(actors)

        await wait_until(settled, timeout=30)


async def comes_to_the_same(flock: Flock, *actors: Actor, count: int) -> None:
    found = await flock.replay(RUN).check(*actors)
    assert (found.checked, found.divergences, found.unchecked) == (count * len(actors), [], []), str(found)


class Busy(Actor):
    """Puts, finds, gets and computes notes of all kinds, each as several deliveries do at once."""

    @on(Asked)
    async def ask(self, asked: Asked, ctx: Context[Any]) -> AsyncGenerator[Told]:
        shared = await ctx.memory.once(f"shared/{asked.n % 2}", self.slow)
        again = await ctx.memory.get(shared.id)
        found = await ctx.memory.find(f"shared/{asked.n % 2}")
        assert found is not None
        large = await ctx.memory.put(LARGE, key=f"large/{asked.n}")
        raw = await ctx.memory.put(b"\x00\xff" * asked.n, tags=["raw"], ttl=timedelta(days=1))
        draft = await ctx.memory.find(f"large/{asked.n}")
        assert draft is not None
        assert draft.id == large.id
        yield Told(asked.n, f"{again.text} {found.id} {large.id}", at=ctx.now(), share=0.1 + asked.n / 3)
        newer = await ctx.memory.once("newer", self.slow, fresh=True)
        older = await ctx.memory.find("newer")
        yield Told(asked.n, f"{raw.id} {newer.text} {older is not None}", at=datetime(2026, 1, 1, tzinfo=UTC))

    async def slow(self) -> str:
        await asyncio.sleep(0.01)
        return datetime.now(UTC).isoformat()


class Keyed(Actor):
    state = Seen

    @on(Asked, key=lambda asked: f"of {asked.n % 3}")
    async def see(self, asked: Asked, ctx: Context[Seen]) -> Told:
        note = await ctx.memory.put({"count": ctx.state.count}, key=f"count/{asked.n % 3}")
        return Told(asked.n, note.id, share=ctx.state.count)

    def evolve(self, state: Seen, event: Any) -> Seen:
        return Seen(state.count + 1)


@pytest.mark.parametrize("shards", [1, 3])
async def test_all_kinds_of_notes_by_several_processes_in_one_shard_and_in_several(
    server_url: str, flock_name: str, shards: int
) -> None:
    async with (
        Flock.open(flock_name, server_url, shards=shards, ttl=timedelta(hours=1)) as flock,
        Flock.open(flock_name, server_url) as peer,
    ):
        await run(flock, Busy(), Keyed(), count=12, peers=(peer,))
        await comes_to_the_same(flock, Busy(), Keyed(), count=12)


async def test_without_single_flight_too(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url, sharing="cache") as flock:
        await run(flock, Busy(), count=6)
        await comes_to_the_same(flock, Busy(), count=6)


class Opener(Actor):
    """Opens a page, a page that is not there, and a file."""

    def __init__(self, page: str, path: Path) -> None:
        self.page, self.path = page, path

    @on(Asked)
    async def open(self, asked: Asked, ctx: Context[Any]) -> Told:
        page = await ctx.fetch(self.page, allow_private=True)
        file = await ctx.read(self.path)
        draft = await ctx.memory.put(page.text + file.lines(1))
        try:
            await ctx.fetch(f"{self.page}/missing", allow_private=True)
        except DocumentError as error:
            return Told(asked.n, f"{page.note.id} {file.note.id} {draft.id} {error}", at=page.checked)
        return Told(asked.n, "")


async def test_pages_and_files_are_those_that_were_read(flock: Flock, tmp_path: Path) -> None:
    path = tmp_path / "owls.txt"
    path.write_text("Owls hunt.\nAt night.\n")  # a moment
    async with serving() as site:
        site.pages["/"] = Page(b"a page")
        opener = Opener(site.url("/"), path)
        await run(flock, opener, count=3)
    path.unlink()
    await comes_to_the_same(flock, opener, count=3)


async def test_outside_effects_are_not_carried_out_again(flock: Flock) -> None:
    sent: list[str] = []

    async def send(key: str) -> dict[str, int]:
        sent.append(key)
        return {"receipt": len(sent)}

    class Sender(Actor):
        @on(Asked)
        async def send(self, asked: Asked, ctx: Context[Any]) -> Told:
            receipt = await ctx.effect(f"mail/{asked.n % 2}", send)
            return Told(asked.n, str(receipt))

    await flock.effect("mail/0", send)  # by a program, before the run
    await run(flock, Sender(), count=4)
    assert sorted(sent) == ["mail/0", "mail/1"]
    await comes_to_the_same(flock, Sender(), count=4)
    assert len(sent) == 2


async def test_answers_of_openais_client_come_from_the_log(server_url: str, flock_name: str) -> None:
    asked: list[bytes] = []

    def provide(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.content)
        message = {"role": "assistant", "content": f"answer {len(asked)}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        return httpx2.Response(200, content=json.dumps(body), headers={"content-type": "application/json"})

    class Asker(Actor):
        @on(Asked)
        async def ask(self, asked: Asked, ctx: Context[Any]) -> Told:
            http_client = httpx2.AsyncClient(transport=httpx2.MockTransport(provide))
            async with AsyncOpenAI(api_key="none", flock=current_flock(), http_client=http_client) as client:
                answer = await client.chat.completions.create(
                    model="m", messages=[{"role": "user", "content": f"question {asked.n % 2}"}]
                )
            return Told(asked.n, str(answer.choices[0].message.content))

    async with Flock.open(flock_name, server_url) as flock:
        await run(flock, Asker(), count=4)
        calls = len(asked)
        assert calls == 2
        await comes_to_the_same(flock, Asker(), count=4)
        assert len(asked) == calls


async def test_a_delivery_that_a_person_has_retried_is_done_again_as_both(flock: Flock) -> None:
    class Fragile(Actor):
        retry = Retry(attempts=1)
        mended = False

        @on(Asked)
        async def ask(self, asked: Asked, ctx: Context[Any]) -> Told:
            switch = await ctx.observe("the switch", lambda: self.mended)
            if not switch:
                raise RoostError("the switch is off")
            return Told(asked.n, "on")

    fragile = Fragile()
    await run(flock, fragile, count=1)
    async with flock.work(fragile, run=RUN):
        fragile.mended = True
        (parked,) = [each async for each in flock.dead.list()]
        await flock.dead.retry(parked)

        async def handled() -> bool:
            return bool(await events_of(flock, "delivery.handled"))

        await wait_until(handled)
    found = await flock.replay(RUN).check(Fragile())
    assert found.divergences == [], str(found)
    assert found.checked + sum(each.deliveries for each in found.unchecked) == 2


class Reader(Actor):
    """Reads the note that is numbered so."""

    @on(Asked)
    async def read(self, asked: Asked, ctx: Context[Any]) -> Told:
        note = await ctx.memory.find(f"given/{asked.n}")
        assert note is not None
        return Told(asked.n, note.text)


async def test_what_was_forgotten_since_is_not_shown_even_where_another_note_has_the_same_content(flock: Flock) -> None:
    for n in range(2):
        await flock.memory.put("the same for both", key=f"given/{n}")
    await run(flock, Reader(), count=2)
    gone = await flock.memory.find("given/0")
    assert gone is not None
    await flock.memory.forget(gone.id)
    found = await flock.replay(RUN).check(Reader())
    assert (found.checked, found.divergences) == (1, []), str(found)
    assert [(each.actor, each.deliveries) for each in found.unchecked] == [(Reader().name, 1)]
    assert "forgotten" in found.unchecked[0].reason


NOTHING: tuple[Event, ...] = ()


@dataclass(frozen=True)
class Scripted:
    """A recorded run of these events."""

    told: tuple[Event, ...]
    run: str = RUN
    flock: str = "scripted"

    async def events(self) -> AsyncGenerator[Event]:
        for event in self.told:
            yield event

    async def before(self) -> AsyncGenerator[Event]:
        for event in NOTHING:
            yield event

    async def forgotten(self) -> AsyncGenerator[Event]:
        for event in NOTHING:
            yield event

    async def content(self, digest: str) -> bytes | None:
        return None

    @property
    def keyholder(self) -> Keyholder:
        return keyholder()


@pytest.mark.parametrize(("shard", "time_ms", "is_its"), [(1, 90, True), (1, 110, False), (0, 90, False)])
async def test_what_a_delivery_told_before_its_end_is_its_though_it_came_later_from_another_shard(
    shard: int, time_ms: int, is_its: bool
) -> None:
    def event(kind: str, ms: int, *, at: int, shard: int = 0, schema: int = 1, cause: str | None = "given") -> Event:
        data = {"event": "given", "note": "n", "key": "k", "how": "joined", "attempt": 1}
        return Event(
            id="given" if cause is None else f"{kind}-{ms}", type=kind, subject="s", body=json.dumps(data).encode(),
            schema=schema, actor="a", run=RUN, cause=cause, time_ms=ms, position=Position(shard, at, 0), version=1,
        )  # fmt: skip

    told = (
        event("faults.asked", 10, at=1, cause=None),
        event("note.read", 80, at=2),
        event("delivery.handled", 100, at=3, schema=2),
        event("work.reused", time_ms, at=4, shard=shard),
    )
    recording = await Recording.read(Scripted(told))
    (delivery,) = recording.deliveries
    assert [each.type for each in delivery.attempt] == ["note.read", *["work.reused"] * is_its]


async def test_a_check_makes_no_spans_and_comes_to_the_same_whether_or_not_traces_are_made(flock: Flock) -> None:
    with traced() as spans:
        await run(flock, Busy(), Keyed(), count=4)
        made = len(spans.trace().spans)
        await comes_to_the_same(flock, Busy(), Keyed(), count=4)
        assert len(spans.trace().spans) == made > 8
    await comes_to_the_same(flock, Busy(), Keyed(), count=4)

"""One session of real use, in which everything happens that leaves a trace on the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from roost.actors import Actor, Circuit, Computed, Context, Flock, Retry, Work, on
from roost.actors.documents import Source
from roost.actors.forgetting import tell_forgotten
from roost.actors.models import EmptyAnswer, OfflineModel
from roost.actors.report import RunStarted, end, follow, start, working
from roost.projections import Projection, Rows
from roost.projections.retention import archive
from roost.streams import AgentLimits, EffectUnknown, Event, NotDone, NoteNotFound, Reader, Unit
from roost.streams.agent_limits import limit_agent
from roost.streams.archive.store import Store
from roost.streams.dead import Release
from roost.streams.declaration import event
from roost.streams.encryption.file_ring import FileRing
from roost.streams.encryption.keyholder import Keyholder
from roost.streams.kafka.ingest.ingest import Ingesting, ingest
from roost.streams.permits import ModelLimits
from roost.streams.refold import Refold
from roost.streams.seals.book import Book
from roost.streams.seals.key import Trusted, make_key, read_key
from roost.streams.seals.sealer import Sealer
from roost.streams.shard import ENCRYPTED
from roost_tests.spans import traced
from roost_tests.topic import Topic, TopicSource
from roost_tests.waiting import wait_until

PAGE = "# Owls\n\nOwls hunt at night. They hear very well.\n\n# Storks\n\nStorks walk in wet meadows. They eat frogs.\n"
MODEL_WORK = Work(
    kind="section", model="offline", calls=1, input_tokens=9, output_tokens=3, tokens_estimated=True,
    cost_cached_usd=Decimal("0.001"),
)  # fmt: skip


@event("test.egg_laid")
@dataclass(frozen=True, slots=True)
class EggLaid:
    bird: str
    fate: str


@event("test.egg_counted")
@dataclass(frozen=True, slots=True)
class EggCounted:
    bird: str


@event("test.egg_numbered")
@dataclass(frozen=True, slots=True)
class EggNumbered:
    number: int


@event("test.egg_due")
@dataclass(frozen=True, slots=True)
class EggDue:
    bird: str


class Payer(Actor):
    """Has an effect outside."""

    @on(EggDue)
    async def pay(self, due: EggDue, ctx: Context[Any]) -> None:
        async def pay(key: str) -> None:
            return None

        await ctx.effect(due.bird, pay)


@event("test.wind_blew")
@dataclass(frozen=True, slots=True)
class WindBlew:
    force: int


@dataclass(frozen=True)
class Clutch:
    eggs: int = 0


class Keeper(Actor):
    """Handles well, fails once, or fails always, as the egg's fate will have it."""

    retry = Retry(2, timedelta(seconds=2))
    has_looked = False
    """Once is enough: not every delivery that is given up has observed something."""

    @on(EggLaid)
    async def keep(self, egg: EggLaid, ctx: Context[Any]) -> EggCounted:
        if ctx.attempt == self.retry.attempts:
            await asyncio.sleep(0.3)  # the last attempt has left its mark: it is to be seen
        if egg.fate == "broken" and ctx.attempt == self.retry.attempts and not Keeper.has_looked:
            Keeper.has_looked = await ctx.observe("whether the shell is thin", lambda: True)
            raise ValueError("the shell is thin")
        if egg.fate == "broken" or (egg.fate == "cracked" and ctx.attempt == 1):
            raise ValueError(f"{egg.fate} at {ctx.now()}")
        if egg.fate == "well":
            ctx.later(EggDue(egg.bird), delay=timedelta(days=30))
        await ctx.memory.put(f"{egg.bird} at {ctx.now()}")
        return EggCounted(egg.bird)


class Counter(Actor):
    """Counts the eggs of each bird."""

    state = Clutch

    @on(EggCounted, key=lambda counted: counted.bird)
    async def count(self, counted: EggCounted, ctx: Context[Clutch]) -> EggNumbered:
        return EggNumbered(ctx.state.eggs + 1)

    def evolve(self, state: Clutch, event: EggNumbered) -> Clutch:
        return Clutch(event.number)


class Ringer(Actor):
    """Rings birds, of each kind one after the other; the first slips away once, and the others wait apart."""

    retry = Retry(2, timedelta(seconds=2))

    @on(EggNumbered, key=lambda egg: "owl")
    async def ring(self, egg: EggNumbered, ctx: Context[Any]) -> None:
        if egg.number == 1 and ctx.attempt == 1:
            raise ValueError("it slipped away")


class Vane(Actor):
    """Is blown away at first, by every wind."""

    circuit = Circuit(failures=1, reset=timedelta(milliseconds=20))

    @on(WindBlew)
    async def turn(self, wind: WindBlew, ctx: Context[Any]) -> None:
        if ctx.attempt == 1 and not await ctx.memory.find("vane"):
            await ctx.memory.once("vane", _at_once)
            raise ConnectionError("the vane is gone")


@dataclass
class Session:
    """What a session has left: all its events; of each kind of key the Redis type, and of a hash all its fields, of a
    stream those of its last entries."""

    flock: Flock
    events: list[Event] = field(default_factory=list[Event])
    types: dict[str, str] = field(default_factory=dict[str, str])
    fields: dict[str, set[str]] = field(default_factory=dict[str, set[str]])

    async def look(self) -> None:
        """Note which keys there are now: some are there for a moment only."""
        client, prefix = self.flock.connection.client, self.flock.shard.keys.prefix
        cursor = 0
        while True:
            reply = await client.execute_command("SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", 1000)
            for key in reply[1]:
                kind = key.decode().removeprefix(prefix).partition(":")[0]
                found = (await client.execute_command("TYPE", key)).decode()
                if found == "none":  # it has gone meanwhile
                    continue
                self.types[kind] = found
                names: list[bytes] = []
                if found == "hash":
                    names = await client.execute_command("HKEYS", key)
                elif found == "stream":
                    last = await client.execute_command("XREVRANGE", key, "+", "-", "COUNT", 1)
                    names = list(last[0][1]) if last else []
                self.fields.setdefault(kind, set()).update(name.decode() for name in names)
            cursor = int(reply[0])
            if cursor == 0:
                return


async def play_session(server_url: str, flock_name: str, place: Path) -> Session:
    """The whole session, in a flock of that name; documents are made in `place`."""
    Keeper.has_looked = False
    async with AsyncExitStack() as stack:

        async def join(**more: Any) -> Flock:
            more = {"claim_lease": timedelta(milliseconds=300)} | more
            return await stack.enter_async_context(Flock.open(flock_name, server_url, **more))

        flock, other, aside = await join(), await join(agent="other"), await join(agent="aside", sharing="cache")
        session = Session(flock)
        await _use_memory(session, other, aside)
        await _seal_content(session, place)
        await _hand_eggs(session)
        await _set_timers(session)
        await _limit_models(session)
        await _have_effects(session)
        await _ingest(session)
        await flock.writer.write(Unit().receive(1, "", "0-1/a").send(1, 1, b"[]\n"))  # as with a second shard
        await _report(session, place)
        for each in (flock, other, aside):
            await each.flush()
        await _seal(session, place)
        session.events = [event async for event in flock.log.read()]
        await session.look()
        await _fold(session)
        await archive(flock.shard, Store(str(place / "archive")))
        await session.look()
        return session


class Picky(Projection[int]):
    """Cannot fold everything."""

    name = "picky"
    on_poison = "skip"

    def evolve(self, event: Event, rows: Rows[int]) -> None:
        if event.type == "note.forgotten":
            raise ValueError("that is not to be forgotten")
        rows[event.type] = rows.get(event.type, 0) + 1


async def _fold(session: Session) -> None:
    """Folds that go on, and one that was cut short."""
    await session.flock.view(Picky).catch_up()
    await Refold(session.flock.shard, "both").fold("")
    await session.look()
    await session.flock.drop_view("picky", 1, live=True)


async def _seal_content(session: Session, place: Path) -> None:
    """As in a flock that is encrypted."""
    shard = session.flock.shard
    shard.keyholder = Keyholder("", FileRing(place / "keys"))
    shard.settings[ENCRYPTED] = (await shard.keyholder.make_vault()).id
    await session.flock.memory.put("sealed")
    await session.flock.memory.search("what is sealed")
    del shard.settings[ENCRYPTED]


async def _use_memory(session: Session, other: Flock, aside: Flock) -> None:
    memory = session.flock.memory
    page = await memory.put(PAGE, key="page", tags=["page"])
    await memory.put({"of": page.id}, sources=[page.id], trust="trusted", vouched=True)
    await memory.put(b"\xff", ttl=None)
    with traced():
        await memory.put("written where traces are asked for")
    large = await memory.put("owl" * 30_000)
    assert [(await each.get(large.id)).size for each in (memory, other.memory)] == [90_000, 90_000]
    assert await memory.find("page") is not None
    assert await memory.find("nothing") is None
    with pytest.raises(NoteNotFound):
        await memory.get("0" * 24)
    assert [hit.id for hit in await memory.search("owl", tags=["page"], author="main", limit=5)] == [page.id]
    await memory.search("nothing of the kind")
    asked = [each.memory.once("night", _slowly(session)) for each in (session.flock, session.flock, other)]
    assert len({note.id for note in await asyncio.gather(*asked)}) == 1
    async with session.flock.acting("reader", run="run-1"):
        await memory.once("night", _slowly(session))
        await memory.once("page", _slowly(session))  # was put: nobody knows what it took
    await aside.memory.once("aside", _at_once)
    with pytest.raises(ZeroDivisionError):
        await memory.once("broken", _fail)
    with pytest.raises(EmptyAnswer):
        await session.flock.complete("Sum it up.", await memory.put(""), model=OfflineModel())

    async def overtaken() -> Computed:
        await other.memory.put("sooner", key="overtaken")
        return Computed("later", MODEL_WORK)

    await memory.once("overtaken", overtaken, fresh=True)
    await memory.forget(page.id)
    await tell_forgotten(session.flock.shard, Reader("main"), "0" * 24, [b"\x00" * 8])
    await memory.put("soon gone", ttl=timedelta(milliseconds=1))
    await wait_until(session.flock.notes.expire)


def _slowly(session: Session) -> Callable[[], Awaitable[Computed]]:
    async def compute() -> Computed:
        await session.look()  # while the claim stands
        return Computed("It is dark.", MODEL_WORK)

    return compute


async def _at_once() -> str:
    return "It is light."


async def _fail() -> str:
    return str(1 / 0)


async def _hand_eggs(session: Session) -> None:
    flock = session.flock
    async with flock.work(Keeper, Counter):
        fates = ["well", "cracked", "broken"]
        await flock.append(*[EggLaid("owl", fate) for fate in fates])

        async def settled() -> bool:
            await session.look()  # while deliveries wait
            seen = [event.type async for event in flock.log.read()]
            return seen.count("delivery.parked") == 1 and seen.count("delivery.handled") == 4

        await wait_until(settled)
    await _settle_parked(session)
    await _ring_birds(session)
    async with flock.work(Vane):
        await flock.append(WindBlew(9))
        await flock.wait_for("circuit.closed", since="0-0")


async def _settle_parked(session: Session) -> None:
    """The egg that was given up is tried once more by one person, to no avail, and dropped by another."""
    flock = session.flock
    [parked] = [parked async for parked in flock.dead.list()]
    assert (await flock.dead.retry(parked)).outcome is Release.RESUMED
    async with flock.work(Keeper):
        await wait_until(flock.dead.count)
    await session.look()
    [parked] = [parked async for parked in flock.dead.list()]
    assert (await flock.dead.drop(parked, reason="it is broken")).outcome is Release.DROPPED


async def _ring_birds(session: Session) -> None:
    flock = session.flock
    async with flock.work(Ringer):
        await flock.append(*[EggNumbered(number) for number in range(1, 4)])

        async def rung() -> bool:
            await session.look()  # while the others wait
            handled = [event async for event in flock.log.read() if event.type == "delivery.handled"]
            return [event.actor for event in handled].count("Ringer") == 3

        await wait_until(rung)


async def _limit_models(session: Session) -> None:
    turnstile = session.flock.turnstile
    await turnstile.limit("offline", ModelLimits(concurrent=2, tokens_per_minute=1_000_000))
    async with turnstile.passing("offline", 10):
        await session.look()  # while a call is under way
    await turnstile.limit("offline", None)
    shards = [session.flock.shard]
    await limit_agent(shards, "*", AgentLimits(notes=1000, requests_per_minute=1000), Reader("main"))
    await limit_agent(shards, "main", AgentLimits(bytes=2**30), Reader("main"))
    await session.flock.memory.put("counted")
    name = (await shards[0].run("share", "aside", "look"))[-1]
    await shards[0].run("share", "aside", "give", 1, 1, name)  # as if a second shard had had it
    await session.flock.shard.command("HSET", session.flock.shard.keys.key("counted"), " counting", "once more")
    await session.look()
    for agent in ("*", "main"):
        await limit_agent(shards, agent, None, Reader("main"))


async def _set_timers(session: Session) -> None:
    flock = session.flock
    due = await flock.later(EggDue("stork"), at=datetime.now(UTC) + timedelta(days=30))
    assert [await flock.cancel_later(due) for _ in range(2)] == [True, False]


async def _have_effects(session: Session) -> None:
    flock, refused = session.flock, iter([NotDone("refused"), ConnectionError("half way")])

    async def pay(key: str) -> str:
        for error in refused:
            raise error
        return "paid"

    with pytest.raises(NotDone):
        await flock.effect("egg/1", pay)
    with pytest.raises(EffectUnknown):
        await flock.effect("egg/1", pay)
    await flock.settle_effect("egg/1", done=False, by="Ada")
    assert await flock.effect("egg/1", pay) == "paid"

    async def answer(key: str) -> object:
        return object()  # nothing that could be kept

    with pytest.raises(EffectUnknown):
        await flock.effect("egg/2", answer)
    async with flock.work(Payer):
        await flock.append(EggDue("owl"))

        async def paid() -> bool:
            return "effect.done" in [event.type async for event in flock.log.read() if event.subject == "effect/owl"]

        await wait_until(paid)


async def _ingest(session: Session) -> None:
    """Eggs that others order, one of them in vain, and some that nobody will ever see."""
    topic, once = Topic("eggs"), Ingesting(once=True, accept_gap=True)
    for value in (b"{}", b"a broken egg", b"{}", b"{}"):
        topic.add(value, ce_type="test.egg_ordered")
        topic.first[0] = {4: 3}.get(len(topic.parts[0]), 0)
        if len(topic.parts[0]) != 3:
            await ingest([session.flock.shard], TopicSource(topic), once)


async def _seal(session: Session, place: Path) -> None:
    """What has happened so far is signed."""
    key = place / "key"
    make_key(key, "ed25519")
    signing = read_key(key)
    book = Book(place, session.flock.name, 0)
    await Sealer(session.flock.shard, book, signing, Trusted([signing])).round()


async def _report(session: Session, place: Path) -> None:
    (place / "birds.md").write_text(PAGE)
    (place / "empty.md").write_text("")
    names = ("birds.md", "empty.md")
    sources = [Source("file", str(place / name), name) for name in names]
    spec = RunStarted("run-2", ("What do owls hear?",), names, "offline", max_calls=100)
    since = await start(session.flock, spec, sources, place)
    async with working(session.flock, spec, place):
        finished = await follow(session.flock, spec, since, lambda event: None)
    await end(session.flock, spec, finished)

"""Traces: parents within a run, links to whoever wrote what is read, and one link for each reuse in the log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased
from roost_tests.crew import events_of, open_flock
from roost_tests.spans import Trace, Traced, traced
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, Retry, on
from roost.actors.completion import Ask
from roost.actors.mapreduce import Mapped, MapReduce, Step, map_reduce
from roost.actors.models import OfflineModel
from roost.otel import active, names
from roost.otel.context import context_of
from roost.otel.identity import attempt_of, trace_of
from roost.otel.tracing import FAN_IN
from roost.streams import Event, Note, encode
from roost.streams import event as declare

Join = Callable[..., Awaitable[Flock]]
RUN = "run-traced"
SECRET = "the canary sings at noon"


@declare("traces.asked")
@dataclass(frozen=True, slots=True)
class Asked:
    n: int


@declare("traces.answered")
@dataclass(frozen=True, slots=True)
class Answered:
    n: int
    note: str


@declare("traces.counted")
@dataclass(frozen=True, slots=True)
class Counted:
    n: int


class Answerer(Actor):
    """Puts a note for each question."""

    name = "answerer"

    @on(Asked)
    async def answer(self, asked: Asked, ctx: Context[Any]) -> Answered:
        note = await ctx.memory.put(f"{asked.n}: {SECRET}", tags=["answer"])
        return Answered(asked.n, note.id)


class Counter(Actor):
    """Reads the note, twice."""

    name = "counter"

    @on(Answered)
    async def count(self, answered: Answered, ctx: Context[Any]) -> Counted:
        for _ in range(2):
            await ctx.memory.get(answered.note)
        return Counted(answered.n)


@pytest.fixture
def spans() -> Iterator[Traced]:
    with traced() as spans:
        yield spans


async def handled(flock: Flock, count: int) -> None:
    async def all_of_them() -> bool:
        return len(await events_of(flock, "delivery.handled", "delivery.parked")) >= count

    await wait_until(all_of_them, timeout=20)


async def reused(flock: Flock) -> int:
    """How often the log tells that work was spared."""
    await flock.flush()
    return len(await events_of(flock, "work.reused"))


async def test_a_run_is_one_trace_in_which_each_delivery_is_below_whoever_sent_it(flock: Flock, spans: Traced) -> None:
    async with flock.work(Answerer(), Counter(), run=RUN):
        await flock.append(*[Asked(n) for n in range(3)], run=RUN)
        await handled(flock, 6)
    trace = spans.trace()
    assert {span.trace for span in trace.spans} == {f"{trace_of(RUN):032x}"}
    assert (trace.orphans, [root.name for root in trace.roots]) == ([], ["send Asked"])
    assert trace.one("send Asked").kind == "PRODUCER"
    assert len(trace.named("process answerer")) == len(trace.named("process counter")) == 3
    for span in trace.named("process counter"):
        assert span.kind == "CONSUMER"
        assert (span.get(names.ATTEMPT), span.get(names.OUTCOME), span.get(names.RUN_ID)) == (None, None, RUN)
        sender = trace.parent(span)
        assert sender is not None
        assert (sender.name, sender.kind) == ("send Answered", "PRODUCER")
        answerer = trace.parent(sender)
        assert answerer is not None
        assert answerer.name == "process answerer"
    for event in await events_of(flock, "delivery.handled"):
        assert trace.by_id[tuple((event.traceparent or "").split("-")[1:3])].name == f"process {event.actor}"  # type: ignore[index]


async def test_a_batch_links_to_those_who_sent_what_is_in_it(flock: Flock, join: Join, spans: Traced) -> None:
    async with flock.work(Answerer(), run=RUN):
        pass  # its inbox is there now
    for n in range(FAN_IN + 50):
        await flock.append(Asked(n), run=RUN)
    async with flock.work(Answerer(), run=RUN, concurrency=FAN_IN + 50):
        await handled(flock, FAN_IN + 50)
    trace = spans.trace()
    batches = trace.named("receive answerer")
    assert sum(len(batch.links) + 1 for batch in batches) == sum(batch.get(names.MESSAGES) for batch in batches)
    assert max(len(batch.links) for batch in batches) <= FAN_IN
    assert sum(batch.get(names.MESSAGES) for batch in batches) > FAN_IN
    assert {batch.kind for batch in batches} == {"CLIENT"}
    assert {trace.target(link).name for batch in batches for link in batch.links} == {"send Asked"}


async def test_a_reader_links_once_to_the_span_that_wrote_the_note(flock: Flock, spans: Traced) -> None:
    async with flock.work(Answerer(), Counter(), run=RUN):
        await flock.append(Asked(1), run=RUN)
        await handled(flock, 2)
    trace = spans.trace()
    read = trace.one(names.SEARCH_MEMORY)
    (link,) = read.links
    writer = trace.target(link)
    assert (writer.name, trace.up(writer, "process").name) == (names.CREATE_MEMORY, "process answerer")
    note = (await events_of(flock, "traces.answered"))[0].data["note"]
    assert {span.get(names.RECORD) for span in (read, writer)} == {link.attributes[names.RECORD]} == {note}
    assert read.get(names.HOW) == link.attributes[names.HOW] == "read"
    assert trace.up(read, "process").name == "process counter"
    (written,) = await events_of(flock, "note.written")
    assert written.traceparent == written.data["traceparent"]
    assert written.traceparent is not None
    assert written.traceparent.startswith(f"00-{writer.trace}-{writer.span}-")


async def test_a_note_of_another_trace_tells_its_writers_trace_who_reads_it(flock: Flock, spans: Traced) -> None:
    async with flock.acting("author", run="run-1"):
        note = await flock.memory.put("known", key="k")
    for run in ("run-2", "run-2", "run-3"):
        async with flock.acting("reader", run=run):
            await flock.memory.get(note.id)
            await flock.memory.find("k")
    trace = spans.trace()
    forward = trace.named(names.NOTE_REUSED)
    assert {span.trace for span in forward} == {f"{trace_of('run-1'):032x}"}
    assert sorted(span.links[0].trace for span in forward) == sorted(
        f"{trace_of(run):032x}" for run in ("run-2", "run-3")
    )
    for span in forward:
        assert trace.parent(span) == trace.one(names.UPSERT_MEMORY)
        assert trace.target(span.links[0]).get(names.RECORD) == span.get(names.RECORD) == note.id


async def test_who_waits_for_a_computation_links_to_it_and_the_model_is_called_below_it(
    flock: Flock, join: Join, spans: Traced
) -> None:
    other = await join()
    model = OfflineModel(latency=timedelta(milliseconds=200))
    note = await flock.memory.put("Owls hunt at night. They hear very well.")

    async def ask(each: Flock, run: str) -> None:
        async with each.acting(run, run=run):
            await each.complete(Ask(instructions="Sum it up.", sentences=1), note, model=model)

    await asyncio.gather(ask(flock, "run-a"), ask(flock, "run-b"), ask(other, "run-c"))
    await ask(other, "run-d")
    trace = spans.trace()
    computing = trace.one(names.UPSERT_MEMORY)
    chat = trace.one("chat offline")
    assert trace.parent(chat) == computing
    assert (chat.kind, chat.get(names.OPERATION), chat.get(names.TOKENS_ESTIMATED)) == ("CLIENT", "chat", True)
    assert chat.get(names.INPUT_TOKENS) > 0 < chat.get(names.OUTPUT_TOKENS)
    reuses = trace.reuses()
    assert sorted(link.attributes[names.HOW] for _, link in reuses) == ["found", "joined", "joined"]
    assert {trace.target(link).span for _, link in reuses} == {computing.span}
    for span, link in reuses:
        waited_ms = (span.end_ns - span.start_ns) / 1e6
        assert waited_ms > 100 or link.attributes[names.HOW] == "found"
    await other.flush()
    assert await reused(flock) == len(reuses)


async def test_each_reuse_in_the_log_has_its_link_however_it_was_had(flock: Flock, join: Join, spans: Traced) -> None:
    flocks = [flock, await join(), await join(sharing="cache")]

    async def compute() -> str:
        await asyncio.sleep(0.02)
        return "done"

    async def ask(each: Flock, n: int) -> None:
        async with each.acting(f"agent-{n % 3}", run=f"run-{n % 2}"):
            await each.memory.once(f"key-{n % 4}", compute, fresh=n % 7 == 0)

    await asyncio.gather(*[ask(each, n) for n in range(30) for each in flocks])
    for each in flocks:
        await each.flush()
    assert len(spans.trace().reuses()) == await reused(flock) > 50


async def test_what_is_read_together_is_gathered_below_spans_that_say_how_many(flock: Flock, spans: Traced) -> None:
    many = FAN_IN * 2 + 50
    notes = [(await flock.memory.put(str(n))).id for n in range(many)]
    async with flock.acting("gatherer", run=RUN):
        assert [note.id for note in await flock.memory.get_all(notes)] == notes
    trace = spans.trace()
    gathered = trace.named(names.GATHER)
    assert sorted(span.get(names.RECORDS) for span in gathered) == [50, FAN_IN, FAN_IN]
    assert [len(trace.children(span)) for span in gathered] == [span.get(names.RECORDS) for span in gathered]
    reads = trace.named(names.SEARCH_MEMORY)
    assert {trace.target(span.links[0]).get(names.RECORD) for span in reads} == set(notes)


class Failing(Actor):
    """Fails, and says why: with what must not be told."""

    retry = Retry(attempts=2, first_delay=timedelta(milliseconds=10))

    @on(Asked)
    async def fail(self, asked: Asked, ctx: Context[Any]) -> None:
        raise ValueError(SECRET)


class FailingByKey(Failing):
    @on(Asked, key=lambda asked: "one")
    async def fail(self, asked: Asked, ctx: Context[Any]) -> None:
        raise ValueError(SECRET)


@pytest.mark.parametrize("actor", [Failing, FailingByKey])
async def test_attempts_are_linked_and_failures_are_told_by_their_type(
    flock: Flock, spans: Traced, actor: type[Actor]
) -> None:
    async with flock.work(actor, run=RUN):
        await flock.append(Asked(1), run=RUN)
        await handled(flock, 1)
    trace = spans.trace()
    first, second = sorted(trace.named("process"), key=lambda span: span.get(names.ATTEMPT) or 1)
    assert [span.get(names.ATTEMPT) for span in (first, second)] == [None, 2]
    assert (first.get(names.ERROR), first.failed, second.get(names.OUTCOME)) == ("ValueError", True, "parked")
    assert first.get(names.OUTCOME) in ("retried", "waits")
    (link,) = second.links
    assert (trace.target(link), link.attributes[names.RELATION]) == (first, "attempt")
    assert SECRET not in repr(trace.spans)


async def test_who_takes_a_delivery_over_links_to_the_attempt_of_the_one_who_had_it(
    server_url: str, flock_name: str, spans: Traced
) -> None:
    held, goes_on = asyncio.Event(), asyncio.Event()

    class Held(Actor):
        name = "held"

        @on(Asked)
        async def hold(self, asked: Asked, ctx: Context[Any]) -> None:
            if not held.is_set():
                held.set()
                await goes_on.wait()

    settings = {"url": server_url, "flock": flock_name, "lease_s": 0.3}
    async with open_flock(settings) as first, open_flock(settings) as second, first.work(Held(), run=RUN):
        await first.append(Asked(1), run=RUN)
        await held.wait()
        await first.heartbeat.close()  # nobody hears of it any more
        async with second.work(Held(), run=RUN):
            await handled(second, 1)
        goes_on.set()

        async def both() -> bool:
            return len(spans.trace().named("process held")) == 2

        await wait_until(both)
    trace = spans.trace()
    late, taken = sorted(trace.named("process held"), key=lambda span: len(span.links))
    (link,) = taken.links
    assert trace.target(link) == late
    assert (late.get(names.OUTCOME), taken.get(names.OUTCOME), taken.get(names.ATTEMPT)) == ("fenced", None, 2)


async def test_a_run_is_sampled_as_a_whole_or_not_at_all(flock: Flock) -> None:
    sampler = TraceIdRatioBased(0.5)
    with traced(sampler=sampler) as spans:
        async with flock.work(Answerer(), Counter()):
            runs = [f"run-{n}" for n in range(16)]
            for run in runs:
                await flock.append(Asked(1), run=run)
            await handled(flock, 2 * len(runs))
        trace = spans.trace()
    by_run = {run: [span for span in trace.spans if span.get(names.RUN_ID) == run] for run in runs}
    assert {len([span for span in of_run if span.name.startswith("process")]) for of_run in by_run.values()} == {0, 2}
    assert trace.orphans == []


async def test_what_is_not_sampled_makes_no_span(flock: Flock) -> None:
    with traced(sampler=ALWAYS_OFF) as spans:
        async with flock.work(Answerer(), Counter(), run=RUN):
            await flock.append(Asked(1), run=RUN)
            await handled(flock, 2)
        assert spans.trace().spans == []
    assert {int((event.traceparent or "")[-2:], 16) & 1 for event in await events_of(flock, "delivery.handled")} == {0}


async def test_spans_of_the_program_are_parents_and_each_request_has_its_own(flock: Flock, spans: Traced) -> None:
    tracer = spans.provider.get_tracer("program")

    async def serve(n: int) -> str:
        with tracer.start_as_current_span(f"request-{n}"):
            await flock.memory.put(f"of {n}", key=f"k{n}")
            note = await flock.memory.find(f"k{n}")
            assert note is not None
            return note.id

    await asyncio.gather(*[serve(n) for n in range(5)])
    trace = spans.trace()
    for n in range(5):
        request = trace.one(f"request-{n}")
        assert sorted(span.name for span in trace.children(request)) == [names.SEARCH_MEMORY, names.UPSERT_MEMORY]
    for event in await events_of(flock, "note.written", "note.read"):
        assert event.traceparent is not None


async def test_without_a_provider_nothing_is_traced(flock: Flock) -> None:
    assert active.tracing is None
    async with flock.work(Answerer(), run=RUN):
        await flock.append(Asked(1), run=RUN)
        await handled(flock, 1)
    assert {event.traceparent for event in await events_of(flock)} == {None}
    assert all("traceparent" not in event.data for event in await events_of(flock, "note.written"))


def test_an_attempt_has_the_same_identity_wherever_it_is_told() -> None:
    assert (
        attempt_of("e", "inbox", "1-1", 1) == attempt_of("e", "inbox", "1-1", 1) != attempt_of("e", "inbox", "1-1", 2)
    )
    assert 0 < trace_of("run") < 2**128


@pytest.mark.parametrize("asked", ["", "span_only"])
async def test_what_models_are_told_and_answer_is_recorded_only_where_it_is_asked_for(
    flock: Flock, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", asked)
    with traced() as spans:
        note = await flock.memory.put(f"Owls hunt at night. Of them {SECRET}.")
        await flock.complete(Ask(instructions="Sum it up.", sentences=2), note, model=OfflineModel())
        chat = spans.trace().one("chat offline")
        assert (SECRET in repr(spans.trace().spans)) == bool(asked)
    if asked:
        (told,) = json.loads(chat.get(names.INPUT_MESSAGES))
        assert told["role"] == "user"
        assert SECRET in told["parts"][1]["content"]
        assert SECRET in chat.get(names.OUTPUT_MESSAGES)


async def test_what_was_closed_is_not_taken_up_again(
    server_url: str, flock_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(active, "over", [])
    monkeypatch.setattr(active, "tracing", None)  # and so again afterwards
    with traced() as spans:
        provider = spans.provider
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    active.over.append(provider)
    async with open_flock({"url": server_url, "flock": flock_name}) as flock:
        await flock.memory.put("x")
        found = [active.tracing is not None]
        active.over.clear()
        active.look()
        found.append(active.tracing is not None)
    assert found == [False, True]


async def test_a_map_reduce_job_is_one_trace(flock: Flock, spans: Traced) -> None:
    class Lengths(MapReduce):
        async def map(self, note: Note, label: str, ctx: Context[Any]) -> str:
            return str(len(note.text))

        async def shuffle(self, parts: Sequence[Mapped], ctx: Context[Any]) -> Mapping[str, Sequence[str]]:
            return {"all": [part.mapped for part in parts]}

        async def reduce(self, step: Step, notes: Sequence[Note], ctx: Context[Any]) -> str:
            return str(sum(int(note.text) for note in notes))

    notes = [(await flock.memory.put("x" * n)).id for n in range(1, 4)]
    finished = await map_reduce(flock, Lengths(), notes, run=RUN)
    assert not finished.missing
    trace = Trace(span for span in spans.trace().spans if span.trace == f"{trace_of(RUN):032x}")
    assert ([root.name for root in trace.roots], trace.orphans) == ([names.RUN], [])
    assert len(trace.named("process mapper")) == 3


@pytest.mark.parametrize(
    "odd",
    ["", "00-x", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "ff-" + "1" * 32 + "-" + "2" * 16 + "-01", "\ud800" * 55,
     "00-" + "1" * 32 + "-" + "2" * 16 + "-01-" + "x" * 10**6, "00-" + "1" * 32 + "-" + "2" * 16 + "-01-more"],
)  # fmt: skip
async def test_a_traceparent_that_is_none_begins_a_trace_of_the_run(flock: Flock, spans: Traced, odd: str) -> None:
    assert context_of(odd) is None
    if not odd.isascii() or len(odd) > 1000:
        return
    kind, _, body = encode(Asked(1))
    async with flock.work(Answerer(), run=RUN):
        await flock.append(Event(type=kind, subject=f"run/{RUN}", body=body, run=RUN, traceparent=odd), run=RUN)
        await handled(flock, 1)
    span = spans.trace().one("process answerer")
    assert (span.trace, span.parent) == (f"{trace_of(RUN):032x}", None)


async def test_a_handler_that_cancels_itself_leaves_no_span_open(flock: Flock, spans: Traced) -> None:
    class Quitter(Actor):
        name = "quitter"
        retry = Retry(attempts=1)

        @on(Asked)
        async def quit(self, asked: Asked, ctx: Context[Any]) -> None:
            raise asyncio.CancelledError

    async with flock.work(Quitter(), run=RUN):
        await flock.append(Asked(1), run=RUN)
        await handled(flock, 1)
    span = spans.trace().one("process quitter")
    assert (span.get(names.OUTCOME), span.get(names.ERROR)) == ("unsettled", "CancelledError")

"""Metrics: what is counted is what the log tells, and what only the server knows is asked of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from math import inf, nan
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from roost_tests.crew import events_of, is_listened_to
from roost_tests.waiting import wait_until

from roost.actors import Actor, Computed, Context, Flock, Retry, Work, on
from roost.actors.completion import Ask
from roost.actors.levels import measure_levels
from roost.actors.models import OfflineModel
from roost.otel import active, names
from roost.otel.instruments import METRICS
from roost.otel.metering import MOST_SERIES, Meters
from roost.projections import Projection, Rows
from roost.streams import Event
from roost.streams import event as declare

Join = Callable[..., Awaitable[Flock]]
WORK = Work(kind="model", model="m", calls=1, input_tokens=90, output_tokens=10, cost_usd=Decimal("0.25"))


@declare("metrics.given")
@dataclass(frozen=True, slots=True)
class Given:
    n: int


class Handler(Actor):
    """Fails once with every third, always with the fifth."""

    name = "handler"
    retry = Retry(attempts=2, first_delay=timedelta(milliseconds=5))

    @on(Given)
    async def handle(self, given: Given, ctx: Context[Any]) -> None:
        if given.n == 5 or (given.n % 3 == 0 and ctx.attempt == 1):
            raise ValueError("not now")


class Slow(Projection[int]):
    """Counts what is given."""

    name = "given"

    def evolve(self, event: Event, rows: Rows[int]) -> None:
        rows["all"] = 1


class Measured:
    """What was counted, by name and attributes."""

    def __init__(self, reader: InMemoryMetricReader) -> None:
        self._reader = reader

    def points(self, name: str) -> dict[tuple[str, ...], Any]:
        """By the attributes' values but the flock, in the order in which METRICS names them."""
        (order,) = [metric.attributes for metric in METRICS if metric.name == name]
        data: Any = self._reader.get_metrics_data()
        if data is None:
            return {}
        return {
            tuple(
                str(point.attributes[each]) for each in order if each != names.FLOCK and each in point.attributes
            ): point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        }

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        return {told: point.value for told, point in self.points(name).items()}

    def total(self, name: str) -> float:
        return sum(self.values(name).values())


@pytest.fixture
def measured() -> Iterator[Measured]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    before, active.meters = active.meters, Meters(provider)
    try:
        yield Measured(reader)
    finally:
        active.meters = before
        provider.shutdown()


async def test_deliveries_are_counted_by_how_they_ended_and_events_as_the_log_has_them(
    measured: Measured, flock: Flock
) -> None:
    async with flock.work(Handler()):
        await flock.append(*[Given(n) for n in range(10)])

        async def settled() -> bool:
            return len(await events_of(flock, "delivery.handled", "delivery.parked")) == 10

        await wait_until(settled)
    ended = Counter(event.type for event in await events_of(flock))
    assert measured.values(names.DELIVERIES) == {
        ("handler", "done"): ended["delivery.handled"],
        ("handler", "retried"): ended["delivery.retried"],
        ("handler", "parked"): ended["delivery.parked"],
    }
    assert (ended["delivery.handled"], ended["delivery.retried"], ended["delivery.parked"]) == (9, 5, 1)
    assert measured.total(names.APPENDED) == len(await events_of(flock))
    (batches,) = measured.points(names.BATCH).values()
    assert batches.sum == len(await events_of(flock))
    (commits,) = measured.points(names.COMMIT).values()
    assert commits.count == batches.count
    assert commits.sum > 0
    await measure_levels(flock)
    (handling,) = measured.points(names.HANDLING).values()
    assert handling.count == 9


async def test_claims_and_what_reuse_spares_are_what_the_log_tells(
    measured: Measured, flock: Flock, join: Join
) -> None:
    others = [flock, await join(), await join(sharing="cache")]

    async def compute() -> Computed:
        await asyncio.sleep(0.02)
        return Computed("done", WORK)

    async def fail() -> str:
        raise ValueError("broken")

    await asyncio.gather(*[each.memory.once(f"k{n % 5}", compute) for n in range(20) for each in others[:2]])
    for each in others:
        await each.memory.once("k1", compute)
        await each.flush()
    with pytest.raises(ValueError, match="broken"):
        await flock.memory.once("broken", fail)
    reused = await events_of(flock, "work.reused")
    claims = measured.values(names.CLAIMS)
    assert claims[("computed",)] == 5
    assert claims[("failed",)] == 1
    assert claims[("found",)] + claims[("joined",)] == len(reused)
    assert Counter(event.data["how"] for event in reused) == {
        "found": claims[("found",)],
        "joined": claims[("joined",)],
    }
    assert measured.total(names.SAVED_TOKENS) == 100 * len(reused)
    assert measured.total(names.SAVED_COST) == pytest.approx(0.25 * len(reused))
    assert measured.total(names.SAVED_SECONDS) == pytest.approx(sum(event.data["work"]["seconds"] for event in reused))


async def test_a_claim_that_is_taken_over_is_counted(measured: Measured, flock: Flock, join: Join) -> None:
    other, begun = await join(), asyncio.Event()

    async def never() -> str:
        begun.set()
        await asyncio.sleep(60)
        return ""

    async def at_once() -> str:
        return "done"

    first = asyncio.create_task(flock.memory.once("k", never))
    await begun.wait()
    second = asyncio.create_task(other.memory.once("k", at_once))
    await wait_until(lambda: is_listened_to(flock, "k"))
    first.cancel()
    await second
    assert measured.values(names.CLAIMS)[("taken_over",)] == 1


async def test_calls_of_models_are_measured_by_the_names_that_all_use(measured: Measured, flock: Flock) -> None:
    note = await flock.memory.put("Owls hunt at night. They hear very well.")
    await flock.complete(Ask(instructions="Sum it up.", sentences=1), note, model=OfflineModel())
    ((told, duration),) = measured.points(names.MODEL_CALLS).items()
    assert (told, duration.count) == (("chat", "roost", "offline"), 1)
    tokens = {told[-1]: point.sum for told, point in measured.points(names.MODEL_TOKENS).items()}
    (computed,) = await events_of(flock, "work.computed")
    assert tokens == {"input": computed.data["input_tokens"], "output": computed.data["output_tokens"]}


async def test_inboxes_their_oldest_events_what_is_parked_and_lags_are_asked_of_the_server(
    measured: Measured, flock: Flock
) -> None:
    held, goes_on = asyncio.Event(), asyncio.Event()

    class Held(Actor):
        name = "held"
        concurrency = 1

        @on(Given)
        async def hold(self, given: Given, ctx: Context[Any]) -> None:
            held.set()
            await goes_on.wait()

    async with flock.follow(Slow), flock.work(Held(), Handler()):
        await flock.append(*[Given(n) for n in range(4, 10)])
        await held.wait()

        async def parked() -> bool:
            await measure_levels(flock)
            return measured.values(names.PARKED).get(("handler",)) == 1

        await wait_until(parked)
        await asyncio.sleep(0.05)
        await measure_levels(flock)
        assert measured.values(names.INBOX_LENGTH) == {("held",): 6, ("handler",): 0}
        ages = measured.values(names.INBOX_AGE)
        assert ages[("held",)] > 0.05
        assert ages[("handler",)] == 0
        assert ("given",) in measured.values(names.LAG)
        goes_on.set()


def test_what_others_have_written_into_the_log_is_counted_as_far_as_it_is_a_number(measured: Measured) -> None:
    assert active.meters is not None
    for odd in ("abc", [1], {"a": 1}, inf, nan, -5, True, 10**400, None):
        active.meters.spared("f", {"seconds": odd, "input_tokens": odd, "output_tokens": odd, "cost_usd": odd})
    assert {measured.total(name) for name in (names.SAVED_SECONDS, names.SAVED_TOKENS, names.SAVED_COST)} == {0}
    active.meters.spared("f", {"seconds": 1.5, "input_tokens": 2, "cost_usd": "0.5"})
    assert (measured.total(names.SAVED_SECONDS), measured.total(names.SAVED_COST)) == (1.5, 0.5)


def test_bridges_and_topics_count_what_they_bring_and_what_they_meet(measured: Measured) -> None:
    meters = active.meters
    assert meters is not None
    for events in (10, 5):
        meters.mirrored("owls", "bridge/kafka/roost", events, events * 100, 0.02)
    meters.hampered("owls", "bridge/kafka/roost", "KafkaUnavailable")
    meters.ingested("owls", "orders", 7, 2)
    meters.ingested("owls", "orders", 3, 0)
    mirror = ("bridge/kafka/roost",)
    assert (measured.values(names.MIRRORED), measured.values(names.MIRRORED_BYTES)) == ({mirror: 15}, {mirror: 1500})
    assert measured.points(names.BRIDGE_COMMIT)[mirror].count == 2
    assert measured.values(names.BRIDGE_ERRORS) == {(*mirror, "KafkaUnavailable"): 1}
    assert measured.values(names.INGESTED) == {("orders", "taken"): 8, ("orders", "refused"): 2}


def test_flocks_of_one_process_keep_their_levels_apart_and_labels_have_an_end(measured: Measured) -> None:
    meters = active.meters
    assert meters is not None
    for flock in ("one", "other"):
        meters.levels(names.PARKED, flock, {((names.FLOCK, flock), (names.ACTOR, f"of {flock}")): 1})
    assert measured.values(names.PARKED) == {("of one",): 1, ("of other",): 1}
    meters.levels(names.PARKED, "one", {})
    assert measured.values(names.PARKED) == {("of other",): 1}
    for n in range(MOST_SERIES + 50):
        meters.settled("f", f"actor {n}", "done")
    assert measured.values(names.DELIVERIES)[("others", "others")] == 50
    assert measured.total(names.DELIVERIES) == MOST_SERIES + 50


def test_metrics_have_names_and_units_that_prometheus_can_take() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.unit != "1", "Prometheus would call it a ratio"
        assert metric.about.endswith(".")
        assert (metric.kind == "histogram") == bool(metric.bounds)

"""What agents do now, what they wrote and reused of late, as the log tells it."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from roost_tests.waiting import wait_until

from roost.actors import Computed, Flock, Work
from roost.projections import Activity, AgentId, AgentState, recent_activity, recent_events
from roost.streams import Event, Position

ANN, BEN = AgentId("ann", "r"), AgentId("ben", "r")
MODEL: dict[str, Any] = {
    "kind": "summary",
    "seconds": 2,
    "model": "m",
    "calls": 1,
    "input_tokens": 10,
    "output_tokens": 5,
}


def happened(type_: str, ms: int, actor: str | None = "ann", /, *, run: str | None = "r", **data: Any) -> Event:
    body = orjson.dumps(data)
    return Event(type=type_, subject="s", actor=actor, run=run, body=body, position=Position(0, ms, 0))


def written(note: str, ms: int, agent: str = "ann", **data: Any) -> Event:
    return happened("note.written", ms, agent, note=note, digest="d", size=7, author=agent, run="r", **data)


def activity_of(*events: Event, **bounds: int) -> Activity:
    activity = Activity(**bounds)
    for event in events:
        activity.evolve(event)
    return activity


def agent(activity: Activity, wanted: AgentId = ANN) -> AgentState:
    return next(each for each in activity.agents if each.id == wanted)


def test_who_has_claimed_a_key_computes_it_until_its_note_is_written() -> None:
    claimed = happened("work.claimed", 1_000, key="k", label="summary of owls")
    activity = activity_of(claimed, happened("note.read", 1_500, note="n0", size=3, count=2))
    doing = agent(activity).doing
    assert [(task.key, task.label, task.since_ms) for task in doing] == [("k", "summary of owls", 1_000)]
    assert (agent(activity).since_ms, agent(activity).last_ms, agent(activity).did) == (1_000, 1_500, "read")

    activity.evolve(written("n1", 2_000, key="k"))
    activity.evolve(happened("work.computed", 2_000, key="k", note="n1", **MODEL))
    state = agent(activity)
    assert (state.doing, state.did, state.about, state.since_ms) == ((), "computed", "summary of owls", 2_000)
    assert (state.counts.notes, state.counts.reads, state.counts.computed) == (1, 2, 1)
    assert activity.notes[0].title == "summary of owls"


def test_who_failed_has_nothing_in_hand_and_an_error_to_its_count() -> None:
    activity = activity_of(
        happened("work.claimed", 1, key="k"), happened("work.failed", 2, key="k", error="E", message="no")
    )
    assert (agent(activity).doing, agent(activity).counts.errors, agent(activity).about) == ((), 1, "k")
    given_up: dict[str, Any] = {"event": "e", "type": "egg.laid", "handler": "h", "error": "E", "message": "no"}
    activity.evolve(happened("delivery.retried", 3, attempt=1, delay_ms=5, **given_up))
    activity.evolve(happened("delivery.parked", 4, attempts=2, inbox="i", **given_up))
    assert (agent(activity).counts.errors, agent(activity).did, agent(activity).about) == (3, "failed", "egg.laid")


def test_a_key_whose_lease_ran_out_is_only_its_new_claimants() -> None:
    activity = activity_of(happened("work.claimed", 1, key="k"), happened("work.claimed", 2, "ben", key="k"))
    assert agent(activity).doing == ()
    assert [task.key for task in agent(activity, BEN).doing] == ["k"]
    activity.evolve(happened("work.computed", 3, "ann", key="k", note=None, late=True, **MODEL))
    assert [task.key for task in agent(activity, BEN).doing] == ["k"]
    held = activity.tasks
    activity.evolve(happened("work.claimed", 4, "ann", key="k"))
    activity.release(held)
    assert [task.agent for task in activity.tasks] == [ANN]
    activity.release(activity.tasks)
    assert activity.tasks == []


def test_reuse_is_a_thread_from_the_reader_to_the_author() -> None:
    spared: dict[str, Any] = {"note": "n1", "key": "k", "work": MODEL}
    activity = activity_of(
        written("n1", 1, key="k"),
        happened("work.reused", 2, "ben", how="found", **spared),
        happened("work.reused", 3, "cat", how="joined", **spared),
        happened("work.reused", 4, "ben", how="found", note="older", key="o", work=None),
    )
    threads = [(each.reader.name, each.author.name if each.author else None, each.how) for each in activity.threads]
    assert threads == [("ben", None, "found"), ("cat", "ann", "joined"), ("ben", "ann", "found")]
    assert (activity.notes[0].reused, agent(activity, BEN).counts.found) == (2, 2)
    figures = activity.figures()
    assert (figures.work.reused, figures.saved.calls, figures.saved.tokens) == (3, 2, 30)


def test_figures_tell_what_was_spent_and_spared() -> None:
    activity = activity_of(
        written("n1", 1, key="k"),
        happened("work.computed", 1, key="k", note="n1", **MODEL, cost_usd="0.02"),
        happened("work.reused", 2, "ben", how="found", note="n1", key="k", work=MODEL | {"cost_usd": "0.02"}),
    )
    figures = activity.figures()
    assert (figures.model.calls, str(figures.model.cost_usd), str(figures.saved.cost_usd)) == (1, "0.02", "0.02")
    assert (activity.events, activity.first_ms, activity.last_ms) == (3, 1, 2)


def test_a_note_that_is_gone_is_no_longer_listed() -> None:
    gone = [
        happened("note.expired", 4, None, note="n1", digest="d", deadline=4),
        happened("note.forgotten", 5, note="n2"),
    ]
    activity = activity_of(written("n1", 1), written("n2", 2), written("n3", 3), *gone)
    assert [note.id for note in activity.notes] == ["n3"]
    assert activity.author_of("n1") == ANN


def test_the_same_name_in_two_runs_is_two_agents() -> None:
    activity = activity_of(
        happened("x", 1), happened("x", 2, run="q"), happened("x", 3, run=None), happened("x", 4, None)
    )
    assert [(each.id.name, each.id.run) for each in activity.agents] == [("ann", ""), ("ann", "q"), ("ann", "r")]


def test_who_is_silent_the_longest_makes_room_with_all_it_had_in_hand() -> None:
    activity = activity_of(
        happened("work.claimed", 1, "old", key="k"),
        *(happened("x", ms, f"agent-{ms}") for ms in range(2, 10)),
        max_agents=3,
    )
    assert [each.id.name for each in activity.agents] == ["agent-9", "agent-8", "agent-7"]
    assert (activity.fallen, activity.tasks) == (6, [])


def test_what_is_kept_is_bounded() -> None:
    activity = Activity(max_agents=5, max_notes=4, max_threads=3)
    for ms in range(2_000):
        name = f"a{ms % 7}" + "x" * 500
        activity.evolve(happened("work.claimed", ms, "busy", key=f"c{ms}", label="l" * 500))
        activity.evolve(written(f"n{ms}", ms, name, key=f"k{ms}"))
        activity.evolve(happened("work.reused", ms, name, how="found", note=f"n{ms}", key=f"k{ms}", work=None))
    assert (len(activity.agents), len(activity.notes), len(activity.threads)) == (5, 4, 3)
    assert len(activity.tasks) == 1_000
    assert max(len(each.id.name) for each in activity.agents) == 200
    assert activity.tasks[0].label is not None
    assert len(activity.tasks[0].label) == 200


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("note.written", b"[]"),
        ("note.written", b'{"note": 7}'),
        ("note.read", b'{"note": "n", "count": "many"}'),
        ("work.claimed", b"not JSON"),
        ("work.claimed", b'{"key": "k", "label": 7}'),
        ("work.computed", b'{"key": null}'),
        ("work.reused", b'{"how": "stolen", "note": "n", "key": "k"}'),
        ("delivery.handled", b"{}"),
        ("note.forgotten", b"null"),
    ],
)
def test_data_that_does_not_fit_its_type_is_counted_and_left_out(kind: str, body: bytes) -> None:
    activity = activity_of(Event(type=kind, subject="s", actor="ann", body=body, position=Position(0, 1, 0)))
    assert (activity.odd, activity.tasks, activity.notes, activity.threads) == (1, [], [], [])
    assert activity.agents[0].did == "acted"


def test_an_actor_that_is_no_text_is_nobody() -> None:
    meta = {b"type": b"x", b"subject": b"s", b"ver": b"1", b"data": b"{}"}
    strange: list[dict[str, Any]] = [
        {"id": "1", "time": 1, "actor": 7, "run": []},
        {"id": "2", "time": 1, "actor": "ann", "run": {}},
    ]
    events = [Event.from_fields(Position(0, 1, 0), meta | {b"meta": orjson.dumps(each)}) for each in strange]
    assert [each.id for each in activity_of(*events).agents] == [AgentId("ann")]


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=2))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # its tables are made while others work
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["note.written", "note.read", "work.claimed", "work.computed", "work.reused", "work.failed"]
            ),
            st.dictionaries(st.sampled_from(["note", "key", "label", "how", "count", "size", "digest", "kind"]), JSON),
        ),
        max_size=10,
    )
)
def test_whatever_anybody_writes_into_the_log_can_be_told(events: list[tuple[str, dict[str, Any]]]) -> None:
    activity = Activity()
    for ms, (kind, data) in enumerate(events):
        body = orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS) if _is_json(data) else b"?"
        activity.evolve(Event(type=kind, subject="s", actor="ann", body=body, position=Position(0, ms, 0)))
    told: list[Any] = [*activity.agents, *activity.notes, *activity.threads]
    assert activity.events == len(events)
    assert all(orjson.loads(orjson.dumps(each.to_data())) for each in told)


def _is_json(data: Any) -> bool:
    try:
        orjson.dumps(data)
    except (TypeError, ValueError):
        return False
    return True


async def test_recent_activity_tells_what_a_flock_does_at_this_moment(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        done = asyncio.Event()

        async def compute() -> Computed:
            await done.wait()
            return Computed("Owls hunt at night.", Work(kind="summary"))

        async with flock.acting("ann", run="r"):
            computing = asyncio.create_task(flock.memory.once("owls", compute))
            await wait_until(lambda: _in_hand(flock))
        activity = await recent_activity(flock.shard)
        assert [(task.agent, task.key) for task in activity.tasks] == [(ANN, "owls")]
        done.set()
        await computing
        activity = await recent_activity(flock.shard)
        assert (activity.tasks, [note.title for note in activity.notes]) == ([], ["owls"])


async def _in_hand(flock: Flock) -> bool:
    return bool((await recent_activity(flock.shard)).tasks)


async def test_a_claim_that_the_server_has_no_more_is_not_told(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url, agent="ann") as flock:
        await flock.append(happened("work.claimed", 1, key="dead", run=None))
        assert [event.type for event in await recent_events(flock.shard)] == ["work.claimed"]
        activity = await recent_activity(flock.shard)
        assert (activity.tasks, [each.id.name for each in activity.agents]) == ([], ["ann"])


async def test_recent_events_are_the_last_ones_in_order_and_pass_over_what_is_damaged(
    server_url: str, flock_name: str
) -> None:
    async with Flock.open(flock_name, server_url) as flock:
        for start in range(0, 1_200, 200):
            await flock.append(*(happened("x", 1, number=start + more) for more in range(200)))
        await flock.shard.command("XADD", flock.shard.keys.log, "*", "type", "damaged")
        numbers = [event.data["number"] for event in await recent_events(flock.shard, 1_101)]
        assert numbers == list(range(100, 1_200))

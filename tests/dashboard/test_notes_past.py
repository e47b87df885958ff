"""All notes of a log, as of any moment: what a fold of the events up to then tells, in a bounded memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from roost.dashboard.annals import kept_note, notes
from roost.dashboard.annals.kinship import kinship
from roost.dashboard.annals.note_listing import Wanted, list_notes
from roost.dashboard.annals.note_story import find_note, tell_note
from roost.dashboard.annals.notes import NotesPast
from roost.dashboard.lineage.layers import layers
from roost.projections.notes import NotesFold
from roost.streams import Event, NoteRecord, Position

AGENTS = ("ann", "ben", "cat")
END = 100_000


@dataclass(frozen=True, slots=True)
class Act:
    """Something that happens `after_ms` the last; `note` and `sources` choose among the notes there are."""

    what: str
    after_ms: int
    agent: str
    note: int
    count: int
    ttl_ms: int | None
    sources: tuple[int, ...]


ACTS = some.lists(
    some.builds(
        Act,
        what=some.sampled_from(("put", "put", "once", "read", "read", "found", "joined", "expire", "forget", "fail")),
        after_ms=some.integers(0, 400),
        agent=some.sampled_from(AGENTS),
        note=some.integers(0, 30),
        count=some.integers(1, 5),
        ttl_ms=some.none() | some.integers(1, 3_000),
        sources=some.lists(some.integers(0, 30), max_size=3).map(tuple),
    ),
    max_size=60,
)


class History:
    """Events as the scripts would append them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.notes: list[str] = []
        self.ms = 1_000

    def add(self, type: str, agent: str, **data: Any) -> None:
        self.events.append(
            Event(
                type=type, subject="s", actor=agent, run="r1", cause="c", body=orjson.dumps(data),
                position=Position(0, self.ms, len(self.events)),
            )
        )  # fmt: skip

    def write(self, agent: str, *, key: str | None = None, ttl_ms: int | None = None, sources: tuple[str, ...] = (),
              tags: tuple[str, ...] = (), size: int = 3) -> str:  # fmt: skip
        note = f"{len(self.notes):03d}{'ab' * 10}"
        record = NoteRecord(
            id=note,
            key=key,
            digest="d" * 64,
            size=size,
            author=agent,
            run="r1",
            tags=tags,
            sources=sources,
            ttl_ms=ttl_ms,
        )
        self.add("note.written", agent, **orjson.loads(record.to_json()))
        self.notes.append(note)
        return note

    def act(self, act: Act) -> None:
        self.ms += act.after_ms
        key = f"key/{act.note}"
        note = self.notes[act.note % len(self.notes)] if self.notes else "nobody's"
        match act.what:
            case "put":
                chosen = tuple(self.notes[each % len(self.notes)] for each in act.sources) if self.notes else ()
                self.write(act.agent, ttl_ms=act.ttl_ms, sources=chosen)
            case "once":
                self.add("work.claimed", act.agent, key=key, label=f"work {act.note}")
                self.ms += act.count * 50
                made = self.write(act.agent, key=key, ttl_ms=act.ttl_ms)
                self.add("work.computed", act.agent, key=key, note=made, kind="k", model="m", calls=2, input_tokens=3,
                         output_tokens=4, seconds=0.5, label=f"work {act.note}")  # fmt: skip
            case "read":
                self.add("note.read", act.agent, note=note, count=act.count, size=3)
            case "found" | "joined":
                self.add("work.reused", act.agent, note=note, key=key, how=act.what, work=None)
            case "expire" | "forget":
                ended = {"expire": "note.expired", "forget": "note.forgotten"}[act.what]
                self.add(ended, act.agent, note=note, digest="d" * 64, deadline=self.ms)
            case _:
                self.add("work.claimed", act.agent, key=key)
                self.add("work.failed", act.agent, key=key, error="no")


def past_of(events: list[Event], **bounds: int) -> NotesPast:
    past = NotesPast(**bounds)
    for event in events:
        past.evolve(event)
    return past


def told(event: Event, name: str) -> Any:
    return event.data[name]


@settings(deadline=None)
@given(ACTS, some.floats(0, 1.05))
def test_they_are_as_a_fold_of_the_events_up_to_then_has_them(acts: list[Act], share: float) -> None:
    history = History()
    for act in acts:
        history.act(act)
    at_ms = 1_000 + int((history.ms - 1_000) * share)
    then = [event for event in history.events if event.position is not None and event.position.ms <= at_ms]
    fold, uses = NotesFold(), Counter[tuple[str, str | None, str]]()
    written = [told(event, "note") for event in then if event.type == "note.written"]
    for event in then:
        fold.evolve(event)
        if event.type in ("note.read", "work.reused") and told(event, "note") in written:
            how = event.data.get("how", "read")
            uses[told(event, "note"), event.actor, how] += event.data.get("count", 1)
    past = past_of(history.events)

    live = [note for note in fold if note.is_live(at_ms)]
    listing = list_notes(past, Wanted(), at_ms, limit=100)
    assert [note.id for note in listing.rows] == [note.id for note in reversed(live)]
    assert (listing.total, listing.known) == (len(live), len(written))
    assert {note.id: note.deadline_ms for note in listing.rows} == {note.id: note.deadline_ms for note in live}
    gone = list_notes(past, Wanted(fate="gone"), at_ms, limit=100)
    assert {note.id for note in gone.rows} == set(written) - {note.id for note in live}

    everything = list_notes(past, Wanted(fate="all"), at_ms, sort="reused", limit=100).rows
    counts = {note.id: (note.reads, note.reused) for note in everything}
    for note_id in written:
        read = sum(count for (note, _, how), count in uses.items() if note == note_id and how == "read")
        reused = sum(count for (note, _, how), count in uses.items() if note == note_id and how != "read")
        assert counts[note_id] == (read, reused)
        story = tell_note(past, past.by_id[note_id], at_ms)
        assert {(note_id, use.actor, use.how): use.count for use, _ in story.uses} == {
            key: count for key, count in uses.items() if key[0] == note_id
        }
        if story.work is not None:
            assert (story.note.saved.calls if story.note.saved else 0) == 2 * reused
    assert [note.reused for note in everything] == sorted((note.reused for note in everything), reverse=True)
    _check_kin(past, then, written, at_ms)


def _check_kin(past: NotesPast, then: list[Event], written: list[str], at_ms: int) -> None:
    made = {told(event, "note"): event.data.get("sources", []) for event in then if event.type == "note.written"}

    def before(note: str) -> set[str]:
        found: set[str] = set()
        ahead = list(made[note])
        while ahead:
            each = ahead.pop()
            if each not in found:
                found.add(each)
                ahead += made.get(each, [])
        return found

    for note in written[:8]:
        kin = kinship(past, note, at_ms)
        ranks = {each.id: each.rank for each in kin.notes}
        if not kin.left_out:
            assert {each for each, rank in ranks.items() if rank < 0} == before(note)
            assert {each for each, rank in ranks.items() if rank > 0} == {
                each for each in written if note in before(each)
            }
        assert len(ranks) + kin.left_out - 1 == len(before(note)) + sum(note in before(each) for each in written)
        for source, made_from_it in kin.edges:
            assert source in made[made_from_it]
            assert ranks[source] < ranks[made_from_it]
        layout = layers(ranks, kin.edges)
        assert len(set(layout.notes.values())) == len(ranks)
        for (source, made_from_it), spots in layout.lines.items():
            first, last = layout.notes[source][0], layout.notes[made_from_it][0]
            assert [column for column, _ in spots] == list(range(first + 1, last))
            assert not set(spots) & set(layout.notes.values())


@settings(deadline=None)
@given(ACTS, some.integers(1, 8))
def test_the_oldest_that_have_gone_are_let_go_first(acts: list[Act], most: int) -> None:
    history = History()
    for act in acts:
        history.act(act)
    past, everything = past_of(history.events, most=most), past_of(history.events)
    assert len(past) == min(most, len(history.notes))
    assert past.let_go == max(0, len(history.notes) - most)
    for note_id, note in past.by_id.items():
        assert note.written_ms == everything.by_id[note_id].written_ms
    assert sum(past.authors.values()) == len(past)
    held = {source for note in past.by_id.values() for source in note.sources}
    assert set(past.built) == held


def test_one_that_has_gone_makes_room_before_an_older_one_that_lives() -> None:
    history = History()
    first, second = history.write("ann"), history.write("ann")
    history.add("note.forgotten", "ann", note=second)
    third = history.write("ann")
    assert list(past_of(history.events, most=2).by_id) == [first, third]


def test_uses_beyond_the_bound_are_merged_and_stay_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "MAX_USES", 40)
    history = History()
    note = history.write("ann")
    for number in range(1_000):
        history.ms += 1
        history.add("note.read", f"agent-{number % 7}", note=note, count=2, size=3)
        history.add("work.reused", f"agent-{number % 300}", note=note, key="k", how="found", work=None)
    past = past_of(history.events)
    uses = past.by_id[note].uses
    assert uses is not None
    assert len(uses) <= 40
    assert uses.counts(kept_note.NEVER, past.whos) == uses.counts(history.ms, past.whos) == (2_000, 1_000)
    reads, reused = uses.counts(history.ms - 1, past.whos)
    assert (reads, reused) == (1_998, 999)


def test_of_all_uses_those_of_the_first_notes_are_let_go_and_stay_counted() -> None:
    history = History()
    first, second = history.write("ann"), history.write("ann")
    for note in (first, second):
        for _ in range(6):
            history.add("note.read", "ben", note=note, count=1, size=3)
    past = past_of(history.events, most_uses=8)
    listed = list_notes(past, Wanted(), END).rows
    assert [note.reads for note in listed] == [6, 6]
    assert [len(tell_note(past, past.by_id[note], END).uses) for note in (first, second)] == [0, 1]


def test_filters_hold_together_and_pages_follow_each_other() -> None:
    history = History()
    for number in range(30):
        history.ms += 10
        agent = AGENTS[number % 3]
        history.write(agent, key=f"Owls/{number}", ttl_ms=1_000 + number, tags=("even",) if number % 2 == 0 else ())
    past = past_of(history.events)
    at_ms = history.ms

    def ids(wanted: Wanted, **how: Any) -> list[int]:
        return [int(note.id[:3]) for note in list_notes(past, wanted, at_ms, **how).rows]

    assert ids(Wanted(agent="ben", tag="even"), limit=9) == [28, 22, 16, 10, 4]
    assert ids(Wanted(words="oWlS ann", within_ms=40)) == [27]
    assert ids(Wanted(words="007")) == [7]
    assert ids(Wanted(run="r"), offset=28, limit=10) == [1, 0]
    assert ids(Wanted(run="r2")) == []
    assert ids(Wanted(expiring_ms=721), sort="expiring") == [0, 1]
    assert list_notes(past, Wanted(tag="even"), at_ms, limit=2).total == 15
    assert find_note(past, "Owls/7") is past.by_id[history.notes[7]]
    assert find_note(past, history.notes[7][:12]) is past.by_id[history.notes[7]]
    assert "no such note" in str(find_note(past, "00"))


def test_events_that_do_not_fit_their_type_are_counted_and_change_nothing() -> None:
    history = History()
    note = history.write("ann")
    for type, data in (
        ("note.written", {"note": 7}), ("note.read", {"note": note, "count": -1}), ("work.reused", {"note": note}),
        ("note.expired", {}), ("work.computed", {"note": note, "kind": 3}),
        ("part.offered", {"note": note, "label": 1}),
    ):  # fmt: skip
        history.add(type, "mallory", **data)
    past = past_of(history.events)
    assert (len(past), past.odd) == (1, 6)
    (only,) = list_notes(past, Wanted(), END).rows
    assert (only.reads, only.reused, only.fate) == (0, 0, "kept")


def test_notes_that_claim_to_be_made_from_each_other_are_shown_all_the_same() -> None:
    history = History()
    ring = [f"{number:03d}{'ab' * 10}" for number in range(4)]
    for number in range(4):
        history.write("mallory", sources=(ring[(number + 1) % 4], ring[number]))
    kin = kinship(past_of(history.events), ring[0], END)
    assert {each.id for each in kin.notes} == set(ring)
    assert len(layers({each.id: each.rank for each in kin.notes}, kin.edges).notes) == 4


def test_many_kin_are_bounded_and_the_rest_is_counted() -> None:
    history = History()
    leaves = tuple(history.write("ann") for _ in range(100))
    middle = history.write("ann", sources=leaves)
    for _ in range(50):
        history.write("ben", sources=(middle,))
    kin = kinship(past_of(history.events), middle, END)
    assert len(kin.notes) == 25  # 12 on each side
    assert (kin.sources, kin.built, kin.left_out, kin.uncounted) == (100, 50, 126, False)

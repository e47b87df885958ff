"""Lineage: from a note to its sources and to what was built on it, within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from roost_tests.descent_fold import DescentFold

from roost.actors import Computed, Flock, Work
from roost.projections import Branch, Use, fold
from roost.streams import Event, NoteNotFound, Position


def written(note: str, *sources: str, **more: Any) -> Event:
    data = {"note": note, "digest": "d", "size": 3, "sources": list(sources), **more}
    return Event(type="note.written", subject=f"note/{note}", body=orjson.dumps(data), position=Position(0, 7, 0))


def descent(*events: Event) -> DescentFold:
    folded = DescentFold()
    for event in events:
        folded.evolve(event)
    return folded


def outline(branch: Branch) -> Any:
    """IDs nested as the branches are; `a*` stands elsewhere, `a+2` has two more."""
    name = branch.note.id + ("*" if branch.again else "") + (f"+{branch.more}" if branch.more else "")
    return [name, *[outline(each) for each in branch.branches]] if branch.branches else name


async def test_lineage_tells_what_agents_did_with_a_note(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url) as flock:

        async def summarize() -> Computed:
            page = await flock.memory.get(source.id)
            return Computed(page.text[:3], Work(kind="section", model="offline", calls=1))

        async with flock.acting("reader", run="r1"):
            source = await flock.memory.put("a long page", tags=["page"])
        async with flock.acting("summarizer", run="r1"):
            summary = await flock.memory.once("summary", summarize)
        async with flock.acting("editor", run="r2"):
            found = await flock.memory.once("summary", summarize)
            report = await flock.memory.put("report", sources=[found.id])
        await flock.memory.forget(source.id)

        folded = await fold(flock.log.read(), DescentFold())
        lineage = folded.lineage(folded.resolve("summary"))
    assert outline(lineage.sources) == [summary.id, source.id]
    assert outline(lineage.built) == [summary.id, report.id]
    assert lineage.sources.branches[0].note.fate == "forgotten"
    assert lineage.sources.branches[0].note.tags == ("page",)
    assert (lineage.note.author, lineage.note.run, lineage.note.kind) == ("summarizer", "r1", "section")
    assert {replace(use, at_ms=0) for use in lineage.note.uses} == {
        Use("editor", "r2", "read", 1), Use("editor", "r2", "found", 1),
    }  # fmt: skip
    told = lineage.to_data()
    assert orjson.loads(orjson.dumps(told)) == told
    assert (told["sources"][0]["note"], told["built"][0]["author"]) == (source.id, "editor")
    assert folded.odd == 0


def test_a_note_that_is_reached_on_two_ways_has_its_branches_where_it_is_nearest() -> None:
    folded = descent(written("root"), written("a", "root"), written("b", "a", "root"), written("end", "b", "a"))
    assert outline(folded.lineage("end").sources) == ["end", ["b", "a*", "root"], ["a", "root*"]]
    assert outline(folded.lineage("root").built) == ["root", ["a", "b*", "end"], ["b", "end*"]]


def test_what_a_bound_cuts_off_is_counted() -> None:
    chain = [written("n0"), *[written(f"n{number}", f"n{number - 1}") for number in range(1, 5)]]
    wide = [written("hub"), *[written(f"w{number}", "hub") for number in range(5)]]
    folded = descent(*chain, *wide)
    assert outline(folded.lineage("n4", depth=2).sources) == ["n4", ["n3", "n2+1"]]
    assert outline(folded.lineage("hub", breadth=2).built) == ["hub+3", "w0", "w1"]
    assert outline(folded.lineage("hub", notes=4).built) == ["hub+1", "w0", "w1", "w2", "w3"]
    assert outline(folded.lineage("n4", notes=2).sources) == ["n4", ["n3", "n2+1"]]
    assert outline(folded.lineage("hub", depth=0).built) == "hub+5"


def test_uses_beyond_the_bound_are_counted() -> None:
    reads = [
        Event(type="note.read", subject="note/a", actor=f"reader{count}", body=b'{"note":"a","count":%d}' % count)
        for count in range(1, 5)
    ]
    note = descent(written("a"), *reads).lineage("a", breadth=2).note
    assert [(use.actor, use.how, use.count) for use in note.uses] == [("reader4", "read", 4), ("reader3", "read", 3)]
    assert note.more_uses == 2


def test_a_source_that_the_log_no_longer_holds_is_unknown_and_still_shown() -> None:
    lineage = descent(written("a", "trimmed")).lineage("a")
    assert lineage.sources.branches[0].note.fate == "unknown"
    assert descent(written("a", "trimmed")).lineage("trimmed").note.fate == "unknown"


def test_notes_that_name_each_other_end_the_walk() -> None:
    folded = descent(written("a", "b"), written("b", "a"), written("self", "self"))
    assert outline(folded.lineage("a").sources) == ["a", ["b", "a*"]]
    assert outline(folded.lineage("self").sources) == ["self", "self*"]


def test_a_note_is_meant_by_its_id_by_the_beginning_of_it_or_by_its_key() -> None:
    folded = descent(written("abc1", key="k"), written("abc2", key="k"), written("xyz"))
    assert folded.resolve("abc1") == "abc1"
    assert folded.resolve("x") == "xyz"
    assert folded.resolve("k") == "abc2"
    for text in ("nothing", ""):
        with pytest.raises(NoteNotFound):
            folded.resolve(text)
    with pytest.raises(NoteNotFound, match="begins the IDs of 2 notes"):
        folded.resolve("abc")
    with pytest.raises(NoteNotFound):
        folded.lineage("nothing")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("note.written", {"note": "n"}),
        ("note.written", {"note": "n", "digest": "d", "size": 1, "sources": [1]}),
        ("note.read", {"note": "n"}),
        ("work.reused", {"note": "n", "how": "taken"}),
        ("work.computed", {"note": "n"}),
        ("work.computed", {"note": 1}),
        ("note.expired", {}),
        ("note.forgotten", {"note": None}),
    ],
)
def test_an_event_that_does_not_fit_its_type_is_counted_and_left_out(kind: str, data: Any) -> None:
    folded = descent(written("a"), Event(type=kind, subject="note/n", body=orjson.dumps(data)))
    assert folded.odd == 1
    assert outline(folded.lineage("a").sources) == "a"


@st.composite
def graphs(draw: st.DrawFn) -> list[list[int]]:
    """For each note the numbers of its sources, any of them: cycles too."""
    size = draw(st.integers(1, 12))
    return [draw(st.lists(st.integers(0, size - 1), max_size=4, unique=True)) for _ in range(size)]


def walk(branch: Branch, distance: int = 0) -> Iterator[tuple[Branch, int]]:
    yield branch, distance
    for each in branch.branches:
        yield from walk(each, distance + 1)


@given(graphs(), st.integers(0, 5), st.integers(0, 4), st.integers(0, 12))
def test_any_lineage_keeps_its_bounds_and_loses_nothing_uncounted(
    sources: list[list[int]], depth: int, breadth: int, notes: int
) -> None:
    folded = descent(*[written(f"n{number}", *[f"n{each}" for each in of]) for number, of in enumerate(sources)])
    lineage = folded.lineage("n0", depth=depth, breadth=breadth, notes=notes)
    shown = list(walk(lineage.sources))
    assert len(shown) <= notes + 1
    assert max(distance for _, distance in shown) <= depth
    opened = [branch for branch, _ in shown if not branch.again]
    assert len({branch.note.id for branch in opened}) == len(opened)
    for branch in opened:
        of = sources[int(branch.note.id[1:])]
        assert len(branch.branches) + branch.more == len(of)
        assert len(branch.branches) <= breadth
        assert [each.note.id for each in branch.branches] == [f"n{each}" for each in of[: len(branch.branches)]]


@given(graphs())
def test_without_bounds_a_lineage_reaches_whatever_can_be_reached_each_way(sources: list[list[int]]) -> None:
    folded = descent(*[written(f"n{number}", *[f"n{each}" for each in of]) for number, of in enumerate(sources)])
    lineage = folded.lineage("n0", depth=100, breadth=100, notes=1000)
    built = [[number for number, of in enumerate(sources) if wanted in of] for wanted in range(len(sources))]
    for following, tree in ((sources, lineage.sources), (built, lineage.built)):
        reached, edge = {0}, [0]
        while edge:
            edge = [each for number in edge for each in following[number] if each not in reached]
            reached.update(edge)
        assert {branch.note.id for branch, _ in walk(tree)} == {f"n{number}" for number in reached}

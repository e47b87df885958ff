"""The line of a key: in the order of its entries, in whatever order they come."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from roost.actors.line import FIRST, Line, Place
from roost.streams import Delivery, Event, Token
from roost.streams.inbox import Mark

entries = st.tuples(st.integers(1, 12), st.integers(0, 12)).map(lambda pair: f"{pair[0]}-{pair[1]}")
marks: st.SearchStrategy[Mark] = st.sampled_from(["", "", "", "back", "end", "retry", "drop"])
arrivals = st.lists(st.tuples(entries, marks), unique_by=lambda arrival: arrival[0], max_size=12)


def place(entry: str, mark: Mark = "") -> Place:
    event = Event(type="thing.happened", subject="thing/1")
    return Place(Delivery(event, Token("0/A", "w", entry, 1), 1, None, False, 1, mark), None)


@settings(deadline=None)
@given(arrivals, st.data())
def test_a_line_is_in_the_order_of_its_entries_in_whatever_order_they_come(
    arrived: list[tuple[str, Mark]], data: st.DataObject
) -> None:
    line = Line(0, "k")
    for entry, mark in data.draw(st.permutations(arrived)):
        line.add(place(entry, mark))
    numbers = [each.number for each in line.places]
    assert numbers == sorted(numbers)
    assert sorted(each.entry for each in line.places) == sorted(entry for entry, _ in arrived)


@settings(deadline=None)
@given(arrivals, arrivals)
def test_nothing_that_comes_goes_before_the_one_that_is_handled(
    there: list[tuple[str, Mark]], later: list[tuple[str, Mark]]
) -> None:
    line = Line(0, "k")
    for entry, mark in there:
        line.add(place(entry, mark))
    line.running = bool(line.places)
    first = line.places[0].entry if line.places else None
    for entry, mark in later:
        line.add(place(entry, mark))
    assert first is None or line.places[0].entry == first
    behind = [each.number for each in itertools.islice(line.places, int(line.running), None)]
    assert behind == sorted(behind)


@settings(deadline=None)
@given(arrivals)
def test_what_a_person_wants_tried_goes_before_all_that_waits_in_the_order_of_the_persons_words(
    arrived: list[tuple[str, Mark]],
) -> None:
    line = Line(0, "k")
    for entry, mark in arrived:
        line.add(place(entry, mark))
    wanted = [entry for entry, mark in arrived if mark in ("retry", "drop")]
    assert [each.entry for each in line.places][: len(wanted)] == wanted
    assert all(each.number == FIRST for each in list(line.places)[: len(wanted)])

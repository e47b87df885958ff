"""Figures: what the tally makes of events, against a plain count of the same events."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.projections import Figures, Tally, figures_of
from roost.streams import Event, Position

MODEL = {
    "model": "offline", "calls": 1, "input_tokens": 100, "output_tokens": 10, "cached_tokens": 4,
    "cost_usd": "0.0150", "tokens_estimated": False,
}  # fmt: skip
SECTION = {"kind": "section", "seconds": 0.5, **MODEL}
DOCUMENT = {"kind": "document", "seconds": 0.25}
UNPRICED = {**SECTION, "cost_usd": None}


def an_event(kind: str, data: Any = None, *, ms: int = 0, run: str | None = None, **named: Any) -> Event:
    body = data if isinstance(data, bytes) else orjson.dumps({} if data is None else data)
    return Event(type=kind, subject="run/r", body=body, run=run, position=Position(0, ms, 0), **named)


def tally(*events: Event, run: str | None = None) -> Figures:
    counted = Tally(run)
    for event in events:
        counted.evolve(event)
    return counted.figures()


def test_work_is_counted_by_how_it_was_come_by_and_by_kind() -> None:
    figures = tally(
        an_event("work.computed", SECTION),
        an_event("work.computed", {**SECTION, "late": True}),
        an_event("work.computed", DOCUMENT),
        an_event("work.reused", {"how": "found", "work": DOCUMENT}),
        an_event("work.reused", {"how": "joined", "work": SECTION}),
        an_event("work.reused", {"how": "found", "work": None}),
    )
    assert figures.to_data()["work"] == {
        "computed": 3,
        "found": 2,
        "joined": 1,
        "failed": 0,
        "by_kind": {
            "document": {"computed": 1, "found": 1, "joined": 0},
            "put": {"computed": 0, "found": 1, "joined": 0},
            "section": {"computed": 2, "found": 0, "joined": 1},
        },
    }
    assert (figures.documents, figures.documents_reused) == (1, 1)


def test_model_calls_are_those_that_were_made_and_savings_those_that_were_not() -> None:
    figures = tally(
        an_event("work.computed", SECTION),
        an_event("work.computed", {**SECTION, "tokens_estimated": True, "cost_usd": "1.5"}),
        an_event("work.reused", {"how": "found", "work": SECTION}),
        an_event("work.reused", {"how": "joined", "work": DOCUMENT}),
    )
    assert figures.model.to_data() == {
        "name": "offline", "calls": 2, "input_tokens": 200, "output_tokens": 20, "cached_tokens": 8,
        "tokens_estimated": True, "cost_usd": "1.515", "failed": 0,
    }  # fmt: skip
    assert figures.saved.to_data() == {
        "calls": 1, "tokens": 110, "tokens_estimated": False, "cost_usd": "0.015",
        "full_cost_usd": "0.015", "seconds": 0.75,
    }  # fmt: skip


def test_one_call_of_unknown_price_makes_the_cost_unknown() -> None:
    figures = tally(an_event("work.computed", SECTION), an_event("work.computed", UNPRICED))
    assert figures.to_data()["model"]["cost_usd"] is None
    assert figures.to_data()["saved"]["cost_usd"] == "0"
    spared = tally(an_event("work.reused", {"how": "found", "work": UNPRICED}))
    assert spared.to_data()["saved"]["cost_usd"] is None
    assert spared.to_data()["model"]["cost_usd"] == "0"


def test_work_without_a_model_costs_nothing_that_is_unknown() -> None:
    figures = tally(an_event("work.computed", DOCUMENT), an_event("work.reused", {"how": "found", "work": DOCUMENT}))
    assert (figures.model.cost_usd, figures.saved.cost_usd) == (Decimal(0), Decimal(0))
    assert figures.model.name is None


def test_failed_work_counts_and_failed_model_calls_only_where_a_model_is_named() -> None:
    figures = tally(
        an_event("work.failed", {"key": "k", "error": "E"}),
        an_event("work.failed", {"key": "k", "error": "E", "model": "offline"}),
    )
    assert (figures.failed, figures.model.failed, figures.model.name) == (2, 1, "offline")


def test_a_message_counts_once_for_each_delivery_that_handled_it() -> None:
    sent = an_event("section.found", {"note": "n"})
    unread = an_event("section.found", {"note": "nobody handles it"})
    handled = an_event("delivery.handled", {"event": sent.id})
    read = an_event("note.read", {"note": "n", "size": 5000, "count": 2})
    figures = tally(sent, unread, handled, read, handled)
    assert figures.bytes.to_data() == {"by_value": 10_000, "by_reference": 2 * len(sent.body)}
    assert (figures.reads, figures.deliveries) == (2, 2)


def test_time_is_that_of_the_servers_clock_and_of_the_run_alone() -> None:
    events = [
        an_event("run.started", ms=1_000, time_ms=9, run="r"),
        an_event("note.missed", ms=3_500, time_ms=5, run="r"),
        an_event("note.missed", ms=99_000, run="another"),
    ]
    assert tally(*events, run="r").elapsed_s == 2.5
    assert (tally(*events, run="r").misses, tally(*events).misses, tally().elapsed_s) == (1, 2, 0.0)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("work.computed", b"no json"),
        ("work.computed", []),
        ("work.computed", {"seconds": 1}),
        ("work.computed", {"kind": 7}),
        ("work.computed", {**DOCUMENT, "seconds": "1"}),
        ("work.computed", {**DOCUMENT, "seconds": -1}),
        ("work.computed", {**DOCUMENT, "seconds": True}),
        ("work.computed", {**SECTION, "calls": "1"}),
        ("work.computed", {**SECTION, "calls": -1}),
        ("work.computed", {**SECTION, "model": 3}),
        ("work.computed", {**SECTION, "cost_usd": 0.1}),
        ("work.computed", {**SECTION, "cost_usd": "cheap"}),
        ("work.computed", {**SECTION, "cost_usd": "NaN"}),
        ("work.computed", {**SECTION, "cost_usd": "-1"}),
        ("work.computed", {**SECTION, "cost_usd": "1e999999"}),
        ("work.computed", {**SECTION, "cost_cached_usd": 0}),
        ("work.computed", {**SECTION, "cost_usd": "1e-999999"}),
        ("work.reused", {"how": "stolen", "work": DOCUMENT}),
        ("work.reused", {"how": "found", "work": 1}),
        ("work.failed", 1),
        ("note.read", {"size": 1}),
        ("note.read", {"size": -1, "count": 1}),
        ("delivery.handled", {"event": 1}),
    ],
)
def test_data_that_does_not_fit_is_counted_as_odd_and_left_out(kind: str, data: Any) -> None:
    figures = tally(an_event(kind, data))
    assert (figures.odd, figures.events) == (1, 1)
    assert (figures.work.computed, figures.work.reused, figures.model.calls, figures.reads) == (0, 0, 0, 0)
    assert figures.model.cost_usd == Decimal(0)


def test_a_type_that_is_named_like_a_figure_changes_nothing_but_the_number_of_events() -> None:
    names = ("odd", "events", "reads", "work failed", "bytes read")
    figures = tally(*[an_event(name) for name in names])
    assert figures == Figures(events=len(names))


# Random logs, against a count written another way: one pass over plain data for each figure.

counts = st.integers(0, 10**6)
models = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["offline", "openai/small"]),
        "calls": st.integers(0, 3),
        "input_tokens": counts,
        "output_tokens": counts,
        "cached_tokens": counts,
        "cost_usd": st.none() | st.decimals(0, 10**6, places=9).map(str),
        "tokens_estimated": st.booleans(),
    },
    optional={"cost_cached_usd": st.decimals(0, 10**6, places=9).map(str)},
)
seconds = st.integers(0, 10**9).map(lambda micros: micros / 1_000_000)


@st.composite
def works(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["document", "section", "model", "work"]))
    return {"kind": kind, "seconds": draw(seconds), **(draw(st.none() | models) or {})}


ids = st.integers(0, 12).map(lambda number: f"event-{number}")
facts = st.one_of(
    st.tuples(st.just("work.computed"), works()),
    st.tuples(
        st.just("work.reused"),
        st.fixed_dictionaries({"how": st.sampled_from(["found", "joined"]), "work": st.none() | works()}),
    ),
    st.tuples(st.just("work.failed"), st.sampled_from([{"key": "k"}, {"key": "k", "model": "offline"}])),
    st.tuples(st.just("note.read"), st.fixed_dictionaries({"size": counts, "count": st.integers(1, 9)})),
    st.tuples(st.just("delivery.handled"), st.fixed_dictionaries({"event": ids})),
    st.tuples(
        st.sampled_from(["delivery.retried", "delivery.parked", "note.missed", "note.written", "section.found"]),
        st.fixed_dictionaries({"x": st.text(max_size=20)}),
    ),
)


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    drawn = draw(st.lists(st.tuples(facts, st.sampled_from([None, "r"]), st.integers(0, 10**6)), max_size=40))
    return [
        an_event(kind, data, ms=1_700_000_000_000 + ms, run=run, id=f"event-{number}")
        for number, ((kind, data), run, ms) in enumerate(drawn)
    ]


def count_plainly(events: list[Event]) -> dict[str, Any]:
    def data_of(kind: str) -> list[dict[str, Any]]:
        return [orjson.loads(event.body) for event in events if event.type == kind]

    def ways(kind: str | None) -> dict[str, int]:
        def is_it(work: dict[str, Any] | None) -> bool:
            return kind is None or kind == (work["kind"] if work else "put")

        reused = [each["how"] for each in data_of("work.reused") if is_it(each["work"])]
        computed = sum(1 for each in data_of("work.computed") if is_it(each))
        return {"computed": computed, "found": reused.count("found"), "joined": reused.count("joined")}

    def total(of: list[dict[str, Any]], name: str) -> int:
        return sum(each.get(name, 0) for each in of)

    def cost(of: list[dict[str, Any]], *, again: bool = False) -> str | None:
        nanos = 0
        for each in of:
            usd = (each.get("cost_cached_usd") if again else None) or each.get("cost_usd")
            if usd is None and each.get("calls", 0) > 0:
                return None
            nanos += int(Decimal(usd or 0) * 10**9)
        whole, part = divmod(nanos, 10**9)
        return f"{whole}.{part:09}".rstrip("0").rstrip(".")

    spent = data_of("work.computed")
    saved = [each["work"] for each in data_of("work.reused") if each["work"]]
    kinds = {each["kind"] for each in spent + saved}
    kinds |= {"put"} if any(each["work"] is None for each in data_of("work.reused")) else set()
    failed = data_of("work.failed")
    names = {each["model"] for each in [*spent, *saved, *failed] if "model" in each}
    reads, handled = data_of("note.read"), data_of("delivery.handled")
    of_type = [event.type for event in events]
    times = [event.position.ms for event in events if event.position]
    return {
        "work": {**ways(None), "failed": len(failed), "by_kind": {kind: ways(kind) for kind in kinds}},
        "model": {
            "name": ", ".join(sorted(names)) or None,
            **{name: total(spent, name) for name in ("calls", "input_tokens", "output_tokens", "cached_tokens")},
            "tokens_estimated": any(each.get("tokens_estimated") for each in spent),
            "cost_usd": cost(spent),
            "failed": sum(1 for each in failed if "model" in each),
        },
        "saved": {
            "calls": total(saved, "calls"),
            "tokens": total(saved, "input_tokens") + total(saved, "output_tokens"),
            "tokens_estimated": any(each.get("tokens_estimated") for each in saved),
            "cost_usd": cost(saved, again=True),
            "full_cost_usd": cost(saved),
            "seconds": sum(round(each["seconds"] * 10**6) for each in saved) / 10**6,
        },
        "documents": ways("document")["computed"],
        "documents_reused": ways("document")["found"] + ways("document")["joined"],
        "bytes": {
            "by_value": sum(read["size"] * read["count"] for read in reads),
            "by_reference": sum(len(event.body) for each in handled for event in events if event.id == each["event"]),
        },
        "elapsed_s": (max(times) - min(times)) / 1000 if times else 0.0,
        "deliveries": len(handled),
        "retries": of_type.count("delivery.retried"),
        "parked": of_type.count("delivery.parked"),
        "reads": sum(read["count"] for read in reads),
        "misses": of_type.count("note.missed"),
        "notes": of_type.count("note.written"),
        "events": len(events),
        "odd": 0,
    }


@given(logs(), st.randoms(use_true_random=False))
async def test_the_tally_agrees_with_a_plain_count_in_whatever_order(events: list[Event], random: Any) -> None:
    assert (await figures_of(events)).to_data() == count_plainly(events)
    of_run = [event for event in events if event.run == "r"]
    assert (await figures_of(events, "r")).to_data() == count_plainly(of_run)
    random.shuffle(events)
    assert (await figures_of(events)).to_data() == count_plainly(events)

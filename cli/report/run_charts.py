"""The charts of one run, from its document."""

from __future__ import annotations

from typing import Any

from roost.streams.amounts import SHORT_ID, show_seconds

from .charts.course import Point, draw_course
from .charts.threads import Reuse, draw_threads
from .charts.timeline import Stretch, draw_timeline
from .charts.waits import Wait, draw_waits
from .facts import Document
from .page import Chart, Row, draw_chart

NOBODY = "nobody known"
COURSE_ROWS = 20
TIMELINE = (
    "Each bar is a piece of work; the taller a row is filled, the more was in hand at once. Where it is pale, the work "
    "was in hand and waited for its turn, or for what others computed. The line below a row is the critical path: what "
    "the end of the run had to wait for."
)
COURSE = "All {} that were asked for: what was made below, and on top of it what sharing saved."
THREADS = (
    "Whose notes were used by whom. Green bands are work that was found or waited for instead of being done again; "
    "pale grey ones are notes that were read by their IDs."
)
WAITS = (
    "From the dot, within which half of them were done, to the bar, within which 99 % were. Each line to the right is "
    "ten times as long."
)


def charts_of(document: Document, *, prefix: str = "") -> list[Chart]:
    """Those for which there is anything to show. `prefix` tells their names from those of others on the page."""
    made = [make(document, prefix) for make in (_timeline, _course, _threads, _waits)]
    return [chart for chart in made if chart is not None]


def _timeline(document: Document, prefix: str) -> Chart | None:
    stretches = [_stretch(each, document["phases"]) for each in document["timeline"]["intervals"]]
    if not stretches:
        return None
    path: list[tuple[str, float, float]] = []
    for step in document["critical_path"]["steps"]:
        began_s = step["start_s"] + step["wait_s"]
        path.append((step["agent"] or NOBODY, began_s, began_s + step["handler_s"]))
    by_agent: dict[str, list[Stretch]] = {}
    for each in stretches:
        by_agent.setdefault(each.agent, []).append(each)
    rows: list[Row] = [
        (agent, own[0].phase, sum(not each.computes for each in own), sum(each.computes for each in own),
         show_seconds(min(each.start_s for each in own)), show_seconds(max(each.end_s for each in own)))
        for agent, own in by_agent.items()
    ]  # fmt: skip
    left_out, wall_s = document["timeline"]["left_out"], document["time"]["wall_s"]
    words = TIMELINE if not left_out else f"{TIMELINE} The {left_out:,} shortest pieces are left out."
    return draw_chart(
        f"{prefix}timeline", "Who worked when", words, lambda width: draw_timeline(stretches, path, wall_s, width),
        "agent, phase, handled, computed, first, last", rows,
    )  # fmt: skip


def _stretch(interval: dict[str, Any], phases: dict[str, str]) -> Stretch:
    return Stretch(
        agent=interval["agent"] or NOBODY,
        phase=phases.get(interval["agent"], "other"),
        start_s=interval["start_s"],
        end_s=interval["end_s"],
        what=interval["what"],
        computes=interval["activity"] == "computation",
        failed=interval["outcome"] in ("retried", "parked", "failed"),
    )


def _course(document: Document, prefix: str) -> Chart | None:
    course: list[dict[str, Any]] = document["course"]
    asked = {unit: course[-1]["spent"][unit] + course[-1]["saved"][unit] for unit in ("calls", "seconds") if course}
    unit = next((unit for unit, amount in asked.items() if amount), None)
    if unit is None:
        return None
    what, wall_s = "model calls" if unit == "calls" else "seconds of computing", document["time"]["wall_s"]
    points = [Point(each["at_s"], each["spent"][unit], each["saved"][unit]) for each in course]
    some = [course[len(course) * number // COURSE_ROWS - 1] for number in range(1, COURSE_ROWS + 1)]
    rows: list[Row] = [
        (show_seconds(each["at_s"]), each["spent"]["calls"], each["saved"]["calls"], each["spent"]["tokens"],
         each["saved"]["tokens"])
        for each in (some if len(course) > COURSE_ROWS else course)
    ]  # fmt: skip
    return draw_chart(
        f"{prefix}course", "Made and saved over time", COURSE.format(what),
        lambda width: draw_course(points, wall_s, what, width),
        "until, calls made, calls saved, tokens used, tokens saved", rows,
    )  # fmt: skip


def _threads(document: Document, prefix: str) -> Chart | None:
    reuses: list[Reuse] = []
    rows: list[Row] = []
    for edge in document["reuse"]["edges"]:
        reader, author = edge["reader"] or NOBODY, edge["author"] or NOBODY
        if edge["author_run"] not in (None, document["run"]["run"]):
            author += f", run {edge['author_run'][:SHORT_ID]}"
        uses, saved = (edge["found"], edge["joined"], edge["referenced"]), edge["saved"]
        reuses.append(Reuse(author, reader, sum(uses), edge["found"] + edge["joined"], saved["seconds"]))
        rows.append((reader, author, *uses, saved["calls"], show_seconds(saved["seconds"])))
    if not reuses:
        return None
    return draw_chart(
        f"{prefix}threads", "Who built on whom", THREADS, lambda width: draw_threads(reuses, width),
        "reader, author, found, joined, by reference, calls saved, computing saved", rows,
    )  # fmt: skip


def _waits(document: Document, prefix: str) -> Chart | None:
    waits = [
        Wait("inbox", agent or NOBODY, times["count"], times["p50_s"], times["p99_s"])
        for agent, times in document["waits"]["by_actor"].items()
        if times["count"]
    ]
    memory = document["memory"]
    if memory["count"]:
        p50_s, p99_s = memory["p50_us"] / 1_000_000, memory["p99_us"] / 1_000_000
        waits.append(Wait("memory", "operations", memory["count"], p50_s, p99_s))
    if not waits:
        return None
    rows: list[Row] = [
        (each.group, each.name, each.count, show_seconds(each.p50_s), show_seconds(each.p99_s)) for each in waits
    ]
    return draw_chart(
        "waits",
        "How long it waited",
        WAITS,
        lambda width: draw_waits(waits, width),
        "what, whose, times, p50, p99",
        rows,
    )

"""The board itself: what it is given, and what it tells when somebody stops or opens a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from roost.dashboard.mounting import mount_asking
from roost.dashboard.started import StartedRun
from roost.streams.printable import printable

MANY = 12
"""Questions and files that are named; of others, the count."""
_ask = mount_asking("roost.board", __file__, "board", ("acts",))


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did: `stop` or `open` it, or go to its page `live` or `run`."""

    what: str
    id: str


def show_board(key: str, runs: Sequence[StartedRun], *, picked: str | None, may_stop: bool) -> Act | None:
    """Shows the runs; what somebody has just done there. All texts are shown as texts."""
    told = _ask(key, {"runs": [_data(run) for run in runs], "picked": picked, "stops": may_stop})["acts"]
    act = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
    what, id = act.get("what"), act.get("id")
    return Act(what, id) if isinstance(what, str) and isinstance(id, str) else None


def _data(run: StartedRun) -> dict[str, Any]:
    stands, order = run.stands(), run.order
    done = stands.progress
    return {
        "id": run.id,
        "run": done.run,
        "own": order.way == "shared",  # what is isolated or compared has memories of its own, which no page shows
        "state": stands.state,
        "over": stands.is_over,
        "title": printable(" · ".join(order.questions[:MANY]) or "A summary"),
        "files": _named(run.names),
        "how": _how(run),
        "at": run.at_ms,
        "seconds": round(stands.seconds, 1),
        "share": 1.0 if stands.state == "done" else done.share,
        "documents": done.documents,
        "sections": done.sections,
        "answers": done.answers,
        "calls": done.calls,
        "reused": done.reused,
        "tokens": done.tokens,
        "saved": done.tokens_saved,
        "retried": done.retried,
        "given_up": done.given_up,
        "said": printable(stands.said),
    }


def _named(names: Sequence[str]) -> str:
    more = len(names) - MANY
    return printable(", ".join(names[:MANY]) + (f" and {more} more" if more > 0 else ""))


def _how(run: StartedRun) -> str:
    order = run.order
    words = [order.model, {"shared": "one memory", "isolated": "isolated", "compare": "three ways compared"}[order.way]]
    if order.processes > 1 and order.way != "compare":
        words.append(f"{order.processes} processes")
    if order.latency_s and order.model == "offline":
        words.append(f"{order.latency_s:g} s a call simulated")
    return printable(", ".join(words))

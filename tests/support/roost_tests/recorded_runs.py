"""Runs that are in the log without having been run: for what is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from roost.actors import Flock
from roost.streams import Event

EVIL = (
    "</script><img src=x onerror=alert(1)>\x1b]0;owned\x07\u202e",
    "[link](http://evil.example) ![x](y) | `code` *bold* ~~gone~~ @everyone www.evil.example $x^2$",
    "--><!--\n# head\n- list\x00\x9b31m\u2028 &lt;b&gt; {{ 7*7 }} '\" \\",
)
"""What a name may hold to become a tag, a link, a column, or a word to the terminal."""


def event(kind: str, subject: str, run: str, actor: str, /, **data: Any) -> Event:
    return Event(type=kind, subject=subject, body=orjson.dumps(data), actor=actor, run=run)


async def record_deliveries(flock: Flock, run: str, agent: str, *, count: int = 2) -> None:
    """Parts that an agent maps."""
    for number in range(count):
        part = event("part.offered", f"run/{run}", run, "reader", title=agent, part=number)
        await flock.append(part)
        told = {
            "event": part.id,
            "type": "part.offered",
            "handler": "map",
            "attempt": 1,
            "code": "c",
            "outcome": "done",
        }
        done = {"emitted": 0, "notes": 0, "reads": 0, "ms": 1.5}
        await flock.append(event("delivery.handled", f"actor/{agent}", run, agent, **told, **done))


async def record_run(
    flock: Flock,
    run: str,
    *,
    model: str = "openai/x",
    cost: str | None = "0.002",
    agent: str = "summarizer",
    ended: str | None = "done",
    missing: Sequence[dict[str, str]] = (),
) -> None:
    """One computation by a model, reused twice: once found, once joined; and two reads of it."""
    work = {
        "kind": "summary", "seconds": 0.5, "model": model, "calls": 1, "input_tokens": 9, "output_tokens": 3,
        "cost_usd": cost, "tokens_estimated": True,
    }  # fmt: skip
    about, note = f"run/{run}", "ab" * 12
    spec = {"run": run, "questions": ["Why?"], "documents": ["owls.md"], "model": model, "mode": "shared"}
    await flock.append(event("run.started", about, run, "main", **spec))
    await flock.append(event("work.claimed", f"actor/{agent}", run, agent, key="k", label=agent))
    await flock.append(event("work.computed", f"note/{note}", run, agent, key="k", label=agent, note=note, **work))
    for how in ("found", "joined"):
        await flock.append(event("work.reused", f"note/{note}", run, "reducer", note=note, key="k", how=how, work=work))
        await flock.append(event("note.read", f"note/{note}", run, "reducer", note=note, size=2000, count=1))
    if ended is not None:
        told = {"run": run, "outcome": ended, "report": note, "missing": list(missing), "unnamed": 0}
        await flock.append(event("run.ended", about, run, "main", **told))

"""Counts a run's report again, from the lines of `roost log --json` and by docs/metrics.md alone: with plain lists,
many passes and exact fractions, and with nothing of what counts it in the product."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any, cast

import orjson

Line = dict[str, Any]
"""An event as `roost log --json` prints it."""
Agent = tuple[str, str] | None

LONGEST, MOST_EDGES, MOST_STEPS, MOST_POINTS = 5000, 1000, 1000, 256


def recount(log: list[Line], run: str) -> dict[str, Any]:
    """The document of a run's report, without `run`, what it was to do."""
    log = sorted(log, key=place)
    mine = [line for line in log if line["run"] == run]
    sharing, edges = sharing_and_edges(log, mine)
    path = critical_path(mine)
    return {
        "figures": figures(mine),
        "first": mine[0]["position"],
        "last": mine[-1]["position"],
        "sharing": sharing,
        "time": times(mine, path),
        "memory": quantiles([each for line in handled(mine) for each in line["data"].get("memory_us", [])], 1, "us"),
        "waits": waits(mine),
        "critical_path": path,
        "timeline": timeline(mine),
        "reuse": edges,
        "course": course(mine),
    }


# What a line tells.


def place(line: Line) -> tuple[int, int, int]:
    shard, _, entry = line["position"].rpartition("/")
    ms, seq = entry.split("-")
    return int(ms), int(seq), int(shard or 0)


def ms_of(line: Line) -> int:
    return place(line)[0]


def cut(text: str) -> str:
    return text[:199] + "…" if len(text) > 200 else text


def agent_of(line: Line) -> Agent:
    return (cut(line["actor"]), cut(line["run"] or "")) if line["actor"] else None


def name_of(agent: Agent) -> str | None:
    return agent[0] if agent else None


def object_of(line: Line) -> Line:
    return cast("Line", line["data"]) if isinstance(line["data"], dict) else {}


def what_of(line: Line) -> str:
    data = object_of(line)
    said = [data.get(name) for name in ("label", "title", "name", "key")]
    return cut(next((each for each in said if isinstance(each, str) and each), line["subject"]))


def micros(number: float, times: int) -> int:
    return round(number * times)


# What fits.


def is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def is_number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 10**12


def is_money(value: Any) -> bool:
    if value is None:
        return True
    try:
        return isinstance(value, str) and Decimal(value).is_finite() and 0 <= Decimal(value) < 10**12
    except ArithmeticError:
        return False


def is_work(given: Any) -> bool:
    data = cast("Line", given)
    if not isinstance(given, dict) or not isinstance(data.get("kind"), str) or not is_number(data.get("seconds", 0)):
        return False
    if data.get("model") is None:
        return True
    counts = [data.get("calls"), data.get("input_tokens"), data.get("output_tokens"), data.get("cached_tokens", 0)]
    costs = [data.get("cost_usd"), data.get("cost_cached_usd")]
    return isinstance(data["model"], str) and all(map(is_count, counts)) and all(map(is_money, costs))


def is_named(data: Line) -> bool:
    return isinstance(data.get("key"), str) and isinstance(data.get("label", ""), str | None)


def is_reused(data: Line) -> bool:
    return data.get("how") in ("found", "joined") and (data.get("work") is None or is_work(data["work"]))


def are_times(listed: Any) -> bool:
    numbers: list[Any] = listed
    return isinstance(listed, list) and all(is_count(each) and each < 10**15 for each in numbers)


def is_delivery(data: Line, *, done: bool) -> bool:
    named = all(isinstance(data.get(name), str) for name in ("handler", "event", "type"))
    timed = is_number(data.get("ms")) or (not done and data.get("ms") is None)
    return named and timed and (not done or are_times(data.get("memory_us", [])))


FIGURES: dict[str, Callable[[Line], bool]] = {
    "work.computed": is_work,
    "work.reused": is_reused,
    "work.failed": lambda data: True,
    "note.read": lambda data: is_count(data.get("size")) and is_count(data.get("count")),
    "delivery.handled": lambda data: isinstance(data.get("event"), str),
}
"""What an event's data must be to be counted in `figures`."""

FACTS: dict[str, Callable[[Line], bool]] = {
    "note.read": lambda data: isinstance(data.get("note"), str) and is_count(data.get("count")),
    "work.claimed": is_named,
    "work.failed": is_named,
    "work.computed": lambda data: is_work(data) and is_named(data),
    "work.reused": lambda data: is_reused(data) and isinstance(data.get("note"), str),
    "delivery.handled": lambda data: is_delivery(data, done=True),
    "delivery.retried": lambda data: is_delivery(data, done=False),
    "delivery.parked": lambda data: is_delivery(data, done=False),
}
"""The same for the other facts."""


def fits(line: Line, rules: dict[str, Callable[[Line], bool]]) -> bool:
    rule = rules.get(line["type"])
    return rule is None or (isinstance(line["data"], dict) and rule(object_of(line)))


def of_type(lines: Iterable[Line], kind: str, rules: dict[str, Callable[[Line], bool]]) -> list[Line]:
    return [line for line in lines if line["type"] == kind and fits(line, rules)]


def handled(lines: list[Line]) -> list[Line]:
    return of_type(lines, "delivery.handled", FACTS)


# Sums.


def cost(works: list[Line], *, again: bool = False) -> str | None:
    total = Fraction(0)
    for work in works:
        usd = work.get("cost_usd")
        if again and work.get("cost_cached_usd") is not None:
            usd = work["cost_cached_usd"]
        if usd is None and work["calls"] > 0:
            return None
        total += Fraction(usd or 0)
    whole, rest = divmod(total, 1)
    digits = ""
    while rest:
        digit, rest = divmod(rest * 10, 1)
        digits += str(digit)
    return f"{whole}.{digits}" if digits else str(whole)


def by_model(works: list[Line]) -> list[Line]:
    return [work for work in works if work.get("model") is not None]


def amounts(works: list[Line], *, again: bool) -> dict[str, Any]:
    asked = by_model(works)
    return {
        "calls": sum(work["calls"] for work in asked),
        "tokens": sum(work["input_tokens"] + work["output_tokens"] for work in asked),
        "cost_usd": cost(asked, again=again),
        "seconds": sum(micros(work.get("seconds", 0), 10**6) for work in works) / 10**6,
    }


def share(part: float, whole: float) -> float | None:
    return round(part / whole, 6) if whole else None


def quantiles(values: list[int], unit: int, name: str) -> dict[str, Any]:
    ordered = sorted(values)
    found: dict[str, Any] = {"count": len(ordered)}
    for percent in (50, 90, 99):
        rank = next((rank for rank in range(1, len(ordered) + 1) if rank * 100 >= len(ordered) * percent), None)
        found[f"p{percent}_{name}"] = None if rank is None else over(ordered[rank - 1], unit)
    found[f"max_{name}"] = over(max(ordered), unit) if ordered else None
    return found


def over(value: int, unit: int) -> float | int:
    return value if unit == 1 else value / unit


# The parts of the document.


def figures(mine: list[Line]) -> dict[str, Any]:
    computed = [line["data"] for line in of_type(mine, "work.computed", FIGURES)]
    reused = [line["data"] for line in of_type(mine, "work.reused", FIGURES)]
    failed = [line["data"] for line in of_type(mine, "work.failed", FIGURES)]
    reads = [line["data"] for line in of_type(mine, "note.read", FIGURES)]
    saved = [data["work"] for data in reused if data.get("work") is not None]
    ways = [(data["kind"], "computed") for data in computed]
    ways += [(data["work"]["kind"] if data.get("work") is not None else "put", data["how"]) for data in reused]
    paid, spared = by_model(computed), by_model(saved)
    asked_failed = [data["model"] for data in failed if isinstance(data.get("model"), str)]
    names = {work["model"] for work in paid + spared} | set(asked_failed)
    sizes: dict[str, int] = {}
    for line in mine:
        sizes.setdefault(line["id"], len(orjson.dumps(line["data"])))
    messages = [line["data"]["event"] for line in of_type(mine, "delivery.handled", FIGURES)]

    def split(kind: str | None) -> dict[str, int]:
        return {how: sum(1 for of, way in ways if way == how and kind in (None, of)) for how in WAYS}

    def number(kind: str) -> int:
        return sum(1 for line in mine if line["type"] == kind)

    documents = split("document")
    return {
        "work": {
            **split(None), "failed": number("work.failed"), "by_kind": {kind: split(kind) for kind, _ in ways},
        },
        "model": {
            "name": ", ".join(sorted(names)) or None,
            "calls": sum(work["calls"] for work in paid),
            "input_tokens": sum(work["input_tokens"] for work in paid),
            "output_tokens": sum(work["output_tokens"] for work in paid),
            "cached_tokens": sum(work.get("cached_tokens", 0) for work in paid),
            "tokens_estimated": any(work.get("tokens_estimated") is True for work in paid),
            "cost_usd": cost(paid),
            "failed": len(asked_failed),
        },
        "saved": {
            **amounts(saved, again=True),
            "full_cost_usd": cost(spared),
            "tokens_estimated": any(work.get("tokens_estimated") is True for work in spared),
        },
        "documents": documents["computed"],
        "documents_reused": documents["found"] + documents["joined"],
        "bytes": {
            "by_value": sum(read["size"] * read["count"] for read in reads),
            "by_reference": sum(sizes.get(message, 0) for message in messages),
        },
        "elapsed_s": (max(map(ms_of, mine)) - min(map(ms_of, mine))) / 1000,
        "deliveries": number("delivery.handled"),
        "retries": number("delivery.retried"),
        "parked": number("delivery.parked"),
        "reads": sum(read["count"] for read in reads),
        "misses": number("note.missed"),
        "notes": number("note.written"),
        "events": len(mine),
        "odd": sum(1 for line in mine if not (fits(line, FIGURES) and fits(line, FACTS))),
    }  # fmt: skip


WAYS = ("computed", "found", "joined")


def sharing_and_edges(log: list[Line], mine: list[Line]) -> tuple[dict[str, Any], dict[str, Any]]:
    authors = {line["id"]: agent_of(line) for line in log if line["type"] == "note.written"}
    reads = [(agent_of(line), line["data"]) for line in of_type(mine, "note.read", FACTS)]
    reuses = [(agent_of(line), line["data"]) for line in of_type(mine, "work.reused", FACTS)]
    pairs = {(reader, data["note"]) for reader, data in reads + reuses}
    referenced: dict[tuple[Agent, str], int] = {}
    for reader, note in pairs:
        author = authors.get(note)
        count = sum(data["count"] for by, data in reads if (by, data["note"]) == (reader, note))
        count -= sum(1 for by, data in reuses if (by, data["note"]) == (reader, note))
        referenced[reader, note] = max(0, count) if author is not None and author != reader else 0
    edges: list[tuple[Any, dict[str, Any]]] = []
    for reader, author in {(reader, authors.get(note)) for reader, note in pairs}:
        of_edge = [data for by, data in reuses if (by, authors.get(data["note"])) == (reader, author)]
        found = sum(1 for data in of_edge if data["how"] == "found")
        joined = sum(1 for data in of_edge if data["how"] == "joined")
        taken = sum(n for (by, note), n in referenced.items() if (by, authors.get(note)) == (reader, author))
        if found + joined + taken:
            saved = amounts([data["work"] for data in of_edge if data.get("work") is not None], again=True)
            edge = {
                "reader": name_of(reader), "author": name_of(author),
                "author_run": author[1] or None if author else None,
                "found": found, "joined": joined, "referenced": taken, "saved": saved,
            }  # fmt: skip
            edges.append(((-(found + joined + taken), reader or ("", ""), author or ("", "")), edge))
    edges.sort(key=lambda ranked: ranked[0])
    told = [edge for _, edge in edges]
    listed = {"edges": told[:MOST_EDGES], "left_out": max(0, len(told) - MOST_EDGES)}
    return sharing(mine, sum(referenced.values())), listed


def sharing(mine: list[Line], referenced: int) -> dict[str, Any]:
    counted = figures(mine)["work"]
    computed, found, joined = (counted[way] for way in WAYS)
    asked, taken = computed + found + joined, found + joined + referenced
    keys = [line["data"]["key"] for line in of_type(mine, "work.computed", FACTS)]
    return {
        "asked": asked,
        "computed": computed,
        "found": found,
        "joined": joined,
        "referenced": referenced,
        "keys": len(set(keys)),
        "duplicate_factor": share(len(keys), len(set(keys))),
        "hit_ratio": share(found + joined, asked),
        "found_ratio": share(found, asked),
        "joined_ratio": share(joined, asked),
        "shares": {
            "found": share(found, taken),
            "joined": share(joined, taken),
            "referenced": share(referenced, taken),
        },
    }


def times(mine: list[Line], path: dict[str, Any]) -> dict[str, Any]:
    wall = ms_of(mine[-1]) - ms_of(mine[0])
    took = sum(micros(line["data"]["ms"], 1000) for line in handled(mine))
    works = [line["data"].get("seconds", 0) for line in of_type(mine, "work.computed", FACTS)]
    return {
        "began_ms": ms_of(mine[0]),
        "wall_s": wall / 1000,
        "handler_s": took / 10**6,
        "computing_s": sum(micros(seconds, 10**6) for seconds in works) / 10**6,
        "critical_path_s": path["length_s"],
        "speed_up": share(took, wall * 1000),
        "speed_up_bound": share(took, round(path["handler_s"] * 10**6)),
    }


def waits(mine: list[Line]) -> dict[str, Any]:
    first: dict[str, Line] = {}
    for line in mine:
        first.setdefault(line["id"], line)
    waited: list[tuple[str, int]] = []
    for at, line in enumerate(mine):
        if line in handled([line]):
            sent = first.get(line["data"]["event"])
            if sent is not None and mine.index(sent) <= at:
                lay = ms_of(line) * 1000 - micros(line["data"]["ms"], 1000) - ms_of(sent) * 1000
                waited.append((name_of(agent_of(line)) or "", max(0, lay)))
    actors = sorted({name for name, _ in waited})
    return {
        **quantiles([lay for _, lay in waited], 10**6, "s"),
        "by_actor": {actor: quantiles([lay for by, lay in waited if by == actor], 10**6, "s") for actor in actors},
    }


def critical_path(mine: list[Line]) -> dict[str, Any]:
    """Walked from event to event, with a search through all of the run for each."""
    known: list[Line] = []
    for line in mine:
        if all(line["id"] != other["id"] for other in known):
            known.append(line)
    ids = [line["id"] for line in known]
    led_to = [line for at, line in enumerate(known) if line["cause"] in ids[:at]]
    ends = [line for line in led_to if line["type"] == "run.ended"] or led_to
    steps: list[dict[str, Any]] = []
    end = here = ends[-1] if ends else None
    seen: list[str] = []
    while here is not None and here["cause"] in ids and here["cause"] not in [*seen, here["id"]]:
        cause = known[ids.index(here["cause"])]
        steps.insert(0, step(mine, cause, here))
        seen.append(here["id"])
        here = cause
    wait, took, other = (sum(each[part] for each in steps) for part in ("wait", "took", "other"))
    wall = (ms_of(mine[-1]) - ms_of(mine[0])) * 1000
    return {
        "first": here["id"] if here else None,
        "last": end["id"] if end else None,
        "length_s": (wait + took + other) / 10**6,
        "share": share(wait + took + other, wall),
        "wait_s": wait / 10**6,
        "handler_s": took / 10**6,
        "other_s": other / 10**6,
        "before_s": max(0, ms_of(here) - ms_of(mine[0])) / 1000 if here else 0.0,
        "after_s": max(0, ms_of(mine[-1]) - ms_of(end)) / 1000 if end else 0.0,
        "steps": [
            {
                **each["told"],
                "start_s": (each["at"] - ms_of(mine[0])) / 1000,
                "wait_s": each["wait"] / 10**6,
                "handler_s": each["took"] / 10**6,
                "other_s": each["other"] / 10**6,
            }
            for each in steps[-MOST_STEPS:]
        ],
        "left_out": max(0, len(steps) - MOST_STEPS),
    }


def step(mine: list[Line], cause: Line, later: Line) -> dict[str, Any]:
    total = max(0, ms_of(later) - ms_of(cause)) * 1000
    ended = [
        line
        for line in mine
        if line in handled([line]) + of_type([line], "delivery.parked", FACTS)
        if line["data"]["event"] == cause["id"] and agent_of(line) == agent_of(later) and place(line) >= place(cause)
    ]
    wait = took = 0
    if ended:
        ms = micros(ended[0]["data"].get("ms") or 0, 1000)
        wait = min(total, max(0, ms_of(ended[0]) * 1000 - ms - ms_of(cause) * 1000))
        took = min(ms, total - wait)
    told = {
        "agent": name_of(agent_of(later)), "handler": ended[0]["data"]["handler"] if ended else None,
        "event": cause["id"], "type": cause["type"], "what": what_of(cause),
    }  # fmt: skip
    return {"told": told, "at": ms_of(cause), "wait": wait, "took": took, "other": total - wait - took}


def timeline(mine: list[Line]) -> dict[str, Any]:
    found: list[tuple[int, int, dict[str, Any]]] = []
    for at, line in enumerate(mine):
        if line["type"].startswith("delivery.") and line["type"] in FACTS and fits(line, FACTS):
            found.append(delivery(mine[: at + 1], line))
        elif line["type"] in ("work.computed", "work.failed") and fits(line, FACTS):
            found.append(computation(mine[:at], line))
    by_length = sorted(range(len(found)), key=lambda number: (found[number][0] - found[number][1], number))
    kept = sorted(by_length[:LONGEST], key=lambda number: (found[number][0], number))
    began = ms_of(mine[0]) * 1000
    return {
        "intervals": [
            {**told, "start_s": (start - began) / 10**6, "end_s": (end - began) / 10**6}
            for start, end, told in (found[number] for number in kept)
        ],
        "left_out": max(0, len(found) - LONGEST),
    }


def delivery(before: list[Line], line: Line) -> tuple[int, int, dict[str, Any]]:
    data, end = line["data"], ms_of(line) * 1000
    outcome = {"delivery.handled": "done", "delivery.retried": "retried", "delivery.parked": "parked"}[line["type"]]
    sent = next((other for other in before if other["id"] == data["event"]), None)
    told = {
        "activity": "delivery", "agent": name_of(agent_of(line)), "handler": data["handler"],
        "what": what_of(sent) if sent else cut(data["type"]), "outcome": outcome,
        "traceparent": line.get("traceparent"),
    }  # fmt: skip
    return end - (0 if data.get("ms") is None else micros(data["ms"], 1000)), end, told


def computation(before: list[Line], line: Line) -> tuple[int, int, dict[str, Any]]:
    data, end = line["data"], ms_of(line) * 1000
    claim: Line | None = None
    for other in before:
        is_of_key = other["type"].startswith("work.") and fits(other, FACTS) and other["data"].get("key") == data["key"]
        if is_of_key and other["type"] == "work.claimed":
            claim = other
        elif is_of_key and other["type"] in ("work.computed", "work.failed"):
            claim = None if claim is None or agent_of(claim) == agent_of(other) else claim
    start = end - micros(data.get("seconds", 0), 10**6) if line["type"] == "work.computed" else end
    label = data.get("label") or data["key"]
    if claim is not None and agent_of(claim) == agent_of(line):
        start, label = ms_of(claim) * 1000, claim["data"].get("label") or data["key"]
    done = "late" if data.get("late") is True else "computed"
    told = {
        "activity": "computation", "agent": name_of(agent_of(line)), "handler": None, "what": cut(label),
        "outcome": done if line["type"] == "work.computed" else "failed", "traceparent": line.get("traceparent"),
    }  # fmt: skip
    return start, end, told


def course(mine: list[Line]) -> list[dict[str, Any]]:
    began, wall, width = ms_of(mine[0]), ms_of(mine[-1]) - ms_of(mine[0]), 1
    while wall // width >= MOST_POINTS:
        width *= 2
    points: list[dict[str, Any]] = []
    for number in range(wall // width + 1):
        so_far = [line for line in mine if ms_of(line) - began < (number + 1) * width]
        spent = [line["data"] for line in of_type(so_far, "work.computed", FACTS)]
        reused = [line["data"].get("work") for line in of_type(so_far, "work.reused", FACTS)]
        saved = [work for work in reused if work is not None]
        points.append(
            {
                "at_s": min((number + 1) * width, wall) / 1000,
                "spent": amounts(spent, again=False),
                "saved": amounts(saved, again=True),
            }
        )
    return points


def state(log: list[Line], run: str) -> dict[str, Any]:
    """What is told of a run itself."""
    mine = sorted((line for line in log if line["run"] == run), key=place)
    [started] = [line for line in mine if line["type"] == "run.started"]
    [ended] = [line for line in mine if line["type"] == "run.ended"]
    counted = figures(mine)
    return {
        "run": run,
        "status": ended["data"]["outcome"],
        **{name: started["data"][name] for name in ("questions", "documents", "model", "mode")},
        "origin": started["data"].get("origin"),
        **{name: ended["data"][name] for name in ("report", "missing", "unnamed")},
        "halted": None,
        "started_ms": ms_of(started),
        "ended_ms": ms_of(ended),
        "last_ms": ms_of(mine[-1]),
        **{name: counted[name] for name in ("elapsed_s", "events", "notes", "deliveries", "retries", "parked")},
    }


PHASES = {
    "read": ["document.offered", "document.opened"],
    "map": ["part.offered"],
    "shuffle": ["part.mapped", "stream.closed", "batch.mapped"],
    "reduce": ["groups.listed", "group.formed", "group.reduced", "job.shuffled"],
}


def phases(log: list[Line], run: str) -> dict[str, str]:
    """What each agent handles most often; of as many, what it did first."""
    found: dict[str, list[str]] = {}
    for line in sorted(log, key=place):
        if line["run"] == run and line["type"] == "delivery.handled":
            kind = line["data"]["type"]
            phase = next((name for name, kinds in PHASES.items() if kind in kinds), "other")
            found.setdefault(line["actor"], []).append(phase)
    return {agent: max(seen, key=seen.count) for agent, seen in found.items()}

"""The facts of one run, from its document."""

from __future__ import annotations

from typing import Any

from roost.streams.amounts import SHORT_ID, abridge, show_moment, show_money, show_seconds, show_share, show_size

from .agent_sheet import sheet_of
from .facts import Document, Fact, Facts, Group, Tone
from .wording import NO_VALUE, plural, saved_sentence, show_factor, show_quantiles, troubles_of

QUESTIONS, QUESTION = 3, 76
"""Questions that are shown, and letters of each."""
SILENT_S = 60.0
"""A run that goes on, and of which nothing has been heard for so long, may have died."""


def facts_of(document: Document) -> Facts:
    """What the document says, for people."""
    state = document["run"]
    ending, tone = _ending(document)
    agents = sheet_of(document)
    return Facts(
        title=f"Run {state['run']}",
        about=_about(document),
        saved=saved_sentence(document["figures"]),
        ending=ending,
        tone=tone,
        tiles=_tiles(document),
        groups=(_saved(document), _spent(document), _reuse(document), _times(document), _deliveries(document)),
        sheets=(agents,) if agents.rows else (),
        missing=tuple((each["what"], each["reason"]) for each in state["missing"]),
        unnamed=state["unnamed"],
    )


def _about(document: Document) -> tuple[str, ...]:
    state, clock = document["run"], document["time"]
    lines = [f"flock {document['flock']}, began {show_moment(clock['began_ms'])}, took {show_seconds(clock['wall_s'])}"]
    if state["model"] is not None:
        asked = f"{plural(len(state['questions']), 'question')} about {plural(len(state['documents']), 'document')}"
        mode = "" if state["mode"] in (None, "shared") else f", {state['mode']}"
        origin = f", a fork of {state['origin'][:SHORT_ID]}" if state["origin"] else ""
        lines.append(f"{asked}, by {document['figures']['model']['name'] or state['model']}{mode}{origin}")
    lines += [f"“{abridge(question, QUESTION)}”" for question in state["questions"][:QUESTIONS]]
    if len(state["questions"]) > QUESTIONS:
        lines.append(f"and {plural(len(state['questions']) - QUESTIONS, 'more question')}")
    return tuple(lines)


def _ending(document: Document) -> tuple[str, Tone]:
    state, figures = document["run"], document["figures"]
    troubles = troubles_of(figures, f"roost dead --run {state['run'][:SHORT_ID]}")
    also = f" {', '.join(troubles)}." if troubles else ""
    match state["status"]:
        case "running":
            silent_s = (document["made_ms"] - state["last_ms"]) / 1000
            if silent_s > SILENT_S:
                return f"It has not ended, and was last heard of {show_seconds(silent_s)} ago.{also}", "poor"
            return f"It is still running: these are its figures up to now.{also}", "going"
        case "partial":
            count = len(state["missing"]) + state["unnamed"]
            return f"It ended, and {plural(count, 'part is', 'parts are')} missing.{also}", "poor"
        case "failed":
            return f"It failed: {state['halted'] or 'it has no result'}.{also}", "bad"
        case "done" if not troubles:
            return "All went well: nothing failed, and nothing is missing.", "good"
        case "done":
            return f"It is done, and nothing is missing.{also}", "poor" if figures["parked"] else "good"
        case _:
            return f"Nobody has said that it began or ended.{also}", "poor" if troubles else "going"


def _tiles(document: Document) -> tuple[Fact, ...]:
    figures, clock = document["figures"], document["time"]
    model, saved = figures["model"], figures["saved"]
    asked = model["calls"] + saved["calls"]
    path = document["critical_path"]
    return (
        Fact("Model calls saved", show_share(saved["calls"], asked), f"{saved['calls']:,} of {asked:,}"),
        Fact("Tokens saved", f"{saved['tokens']:,}", "estimated" if saved["tokens_estimated"] else ""),
        Fact("Money saved", show_money(saved["cost_usd"]), f"spent {show_money(model['cost_usd'])}"),
        Fact(
            "Wall time",
            show_seconds(clock["wall_s"]),
            f"critical path {show_seconds(path['length_s'])}" if path["first"] else "",
        ),
    )


def _saved(document: Document) -> Group:
    model, saved = document["figures"]["model"], document["figures"]["saved"]
    asked = model["calls"] + saved["calls"]
    full = saved.get("full_cost_usd")
    cached = "" if full == saved["cost_usd"] else f"{show_money(full)} without the provider's own cache"
    return Group(
        "Saved by sharing",
        (
            Fact("model calls", f"{saved['calls']:,}", f"{show_share(saved['calls'], asked)} of {asked:,}"),
            Fact("tokens", f"{saved['tokens']:,}", "estimated" if saved["tokens_estimated"] else ""),
            Fact("money", show_money(saved["cost_usd"]), _price(saved) or cached),
            Fact("computing", show_seconds(saved["seconds"]), "as long as it took when it was done"),
        ),
    )


def _spent(document: Document) -> Group:
    model = document["figures"]["model"]
    failed = f", {model['failed']:,} failed" if model["failed"] else ""
    cached = f"{model['cached_tokens']:,} of them in the provider's cache" if model["cached_tokens"] else ""
    estimated = "estimated" if model["tokens_estimated"] else ""
    return Group(
        "Spent",
        (
            Fact("model calls", f"{model['calls']:,}", f"{model['name'] or 'no model was called'}{failed}"),
            Fact("tokens in", f"{model['input_tokens']:,}", ", ".join(filter(None, (cached, estimated)))),
            Fact("tokens out", f"{model['output_tokens']:,}", estimated),
            Fact("money", show_money(model["cost_usd"]), _price(model)),
            Fact("computing", show_seconds(document["time"]["computing_s"]), "of all agents together"),
        ),
    )


def _price(spent: dict[str, Any]) -> str:
    return "the price of a call is not known" if spent["cost_usd"] is None else ""


def _reuse(document: Document) -> Group:
    sharing, figures = document["sharing"], document["figures"]
    asked, size = sharing["asked"], figures["bytes"]
    twice = "nothing was computed twice" if sharing["duplicate_factor"] == 1 else "computations of each key"
    return Group(
        "Reuse",
        (
            Fact("work asked for", f"{asked:,}", f"{sharing['computed']:,} computed"),
            Fact("hit ratio", show_share(sharing["found"] + sharing["joined"], asked), "not computed again"),
            Fact("found", f"{sharing['found']:,}", f"{show_share(sharing['found'], asked)}, it was there"),
            Fact("joined", f"{sharing['joined']:,}", f"{show_share(sharing['joined'], asked)}, somebody was at it"),
            Fact("by reference", f"{sharing['referenced']:,}", "notes of others, read by their IDs"),
            Fact("duplicate work", show_factor(sharing["duplicate_factor"]), twice if sharing["keys"] else ""),
            Fact("documents", f"{figures['documents']:,}", f"opened, {figures['documents_reused']:,} reused"),
            Fact(
                "content read", show_size(size["by_value"]), f"named in messages of {show_size(size['by_reference'])}"
            ),
        ),
    )


def _times(document: Document) -> Group:
    clock, path = document["time"], document["critical_path"]
    memory = {name.replace("_us", "_s"): number for name, number in document["memory"].items()}
    seconds = {name: _seconds(number) if name.endswith("_s") else number for name, number in memory.items()}
    spent = f"{show_seconds(path['handler_s'])} in handlers, {show_seconds(path['wait_s'])} in inboxes"
    known = path["first"] is not None
    return Group(
        "Time",
        (
            Fact("wall time", show_seconds(clock["wall_s"]), "from its first event to its last"),
            Fact("critical path", show_seconds(path["length_s"]) if known else NO_VALUE, spent if known else ""),
            _speed_up(clock),
            Fact("inbox waiting", *show_quantiles(document["waits"])),
            Fact("memory", *show_quantiles(seconds)),
        ),
    )


def _speed_up(clock: dict[str, Any]) -> Fact:
    """Handlers that wait for their turn to compute are no speed: they count where nothing else is known."""
    if not clock["computing_s"] or not clock["wall_s"]:
        return Fact("speed-up", show_factor(clock["speed_up"]), "handlers at once, on an average")
    in_hand = NO_VALUE if clock["speed_up"] is None else f"{clock['speed_up']:.1f}"
    factor = clock["computing_s"] / clock["wall_s"]
    return Fact("speed-up", show_factor(factor), f"computations at once, on an average; {in_hand} in hand")


def _seconds(micros: int | None) -> float | None:
    return None if micros is None else micros / 1_000_000


def _deliveries(document: Document) -> Group:
    figures = document["figures"]
    return Group(
        "Deliveries",
        (
            Fact("handled", f"{figures['deliveries']:,}", f"by {plural(len(document['waits']['by_actor']), 'agent')}"),
            Fact("repeated", f"{figures['retries']:,}", "attempts that failed, and were made again"),
            Fact("given up", f"{figures['parked']:,}", "parked for a person" if figures["parked"] else ""),
            Fact("notes written", f"{figures['notes']:,}", f"{figures['reads']:,} reads, {figures['misses']:,} misses"),
            Fact("events", f"{figures['events']:,}"),
        ),
    )

"""Sentences and counts of a report."""

from __future__ import annotations

from typing import Any

from roost.streams.amounts import show_money, show_seconds, show_share

NO_VALUE = "–"


def plural(count: int, noun: str, many: str | None = None) -> str:
    """1 call, 1,200 calls."""
    return f"{count:,} {noun if count == 1 else many or f'{noun}s'}"


def show_factor(factor: float | None) -> str:
    """3.4×; what cannot be told is a dash."""
    return NO_VALUE if factor is None else f"{factor:,.{0 if factor >= 100 else 1 if factor >= 10 else 2}f}×"


def show_quantiles(times: dict[str, Any]) -> tuple[str, str]:
    """How long half of them took at most, and all but the slowest hundredth. Times in seconds."""
    if not times["count"]:
        return NO_VALUE, "not measured"
    return show_seconds(times["p50_s"]), f"p50; p99 {show_seconds(times['p99_s'])}, of {times['count']:,}"


def about(estimated: bool, text: str) -> str:
    """What is estimated says so."""
    return f"about {text}" if estimated else text


def saved_sentence(figures: dict[str, Any]) -> str:
    """What sharing saved, in a sentence."""
    model, saved, work = figures["model"], figures["saved"], figures["work"]
    asked, reused = model["calls"] + saved["calls"], work["found"] + work["joined"]
    if not saved["calls"]:
        if not reused and not work["computed"]:
            return "There was nothing to share: nobody has asked for work that can be."
        if not reused:
            return "Sharing saved nothing here: all that was asked for was asked for the first time."
        spared = f" and {show_seconds(saved['seconds'])} of computing" if saved["seconds"] else ""
        return f"Sharing saved {reused:,} of {plural(work['computed'] + reused, 'computation')}{spared}."
    facts = [
        f"{saved['calls']:,} of {plural(asked, 'model call')} ({show_share(saved['calls'], asked)})",
        about(saved["tokens_estimated"], plural(saved["tokens"], "token")),
    ]
    if saved["cost_usd"] is None:
        facts.append("an unknown sum of money")
    elif saved["cost_usd"] != "0":
        facts.append(show_money(saved["cost_usd"]))
    return f"Sharing saved {', '.join(facts)} and {show_seconds(saved['seconds'])} of computing."


def troubles_of(figures: dict[str, Any], dead: str) -> list[str]:
    """What went wrong on the way, a clause each. `dead` is the command that shows what was given up."""
    told: list[str] = []
    if figures["retries"]:
        told.append(plural(figures["retries"], "attempt was repeated", "attempts were repeated"))
    if figures["work"]["failed"]:
        told.append(plural(figures["work"]["failed"], "computation failed", "computations failed"))
    if figures["parked"]:
        given_up = plural(figures["parked"], "delivery was given up", "deliveries were given up")
        told.append(f"{given_up} (`{dead}`)")
    if figures["odd"]:
        told.append(plural(figures["odd"], "event could not be read", "events could not be read"))
    return told

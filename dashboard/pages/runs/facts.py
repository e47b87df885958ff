"""The figures of a run, and how it stands, in words."""

from __future__ import annotations

from roost.dashboard.annals.runs import RunThen
from roost.dashboard.tiles import Tile, show_tiles
from roost.projections import RunReport
from roost.streams.amounts import show_money, show_seconds, show_share

SILENT_S = 60
"""A run that goes on, and of which nothing has been heard for so long, may have died."""


def ending_of(report: RunReport, run: RunThen, now_ms: float) -> tuple[str, bool]:
    """How it stands at that moment of the server's clock, and whether that is trouble."""
    state, figures = report.run, report.figures
    troubles = [
        words
        for count, words in ((figures.failed, "computations failed"), (figures.parked, "deliveries were given up"))
        if count
        for words in (f"{count:,} {words}",)
    ]
    also = f" {', and '.join(troubles)}." if troubles else ""
    match state.status:
        case "running":
            silent_s = (now_ms - run.last_ms) / 1000
            if silent_s > SILENT_S:
                return f"It has not ended, and was last heard of {show_seconds(silent_s)} ago.{also}", True
            return f"It is still running: these are its figures up to now.{also}", bool(troubles)
        case "partial":
            missing = "; ".join(f"{what}: {reason}" for what, reason in state.missing[:3])
            return f"It ended, and parts are missing. {missing}{also}", True
        case "failed":
            return f"It failed: {state.halted or 'it has no result'}.{also}", True
        case "done":
            return f"It is done, and nothing is missing.{also}", bool(figures.parked)
        case _:
            return f"Nobody has said that it began or ended.{also}", bool(troubles)


def show_facts(key: str, report: RunReport) -> None:
    """At a glance."""
    show_tiles(key, tiles_of(report))


def tiles_of(report: RunReport) -> list[Tile]:
    """Asked for, made and saved; the time it took, and what of it could not be helped."""
    model, saved, sharing = report.figures.model, report.figures.saved, report.sharing
    asked, about = model.calls + saved.calls, "about " if saved.tokens_estimated else ""
    spent = model.input_tokens + model.output_tokens
    path_s = report.path.length / 1_000_000
    return [
        ("Model calls made", f"{model.calls:,}", model.name or "no model was called"),
        ("Calls saved", f"{saved.calls:,}", f"{show_share(saved.calls, asked)} of {asked:,} asked for"),
        ("Tokens spent", f"{spent:,}", f"{about}{saved.tokens:,} saved"),
        ("Cost", show_money(model.cost_usd), f"{show_money(saved.cost_usd)} saved"),
        ("Reuse", f"{sharing.found + sharing.joined:,}", f"{sharing.found:,} found, {sharing.joined:,} waited for"),
        ("Wall time", show_seconds(report.wall / 1_000_000), f"{show_seconds(saved.seconds)} of computing saved"),
        ("Critical path", show_seconds(path_s) if report.path.steps else "–", f"{len(report.path.steps):,} steps"),
        ("Deliveries", f"{report.figures.deliveries:,}", f"{report.figures.retries:,} tried again"),
    ]

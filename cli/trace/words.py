"""What a line says of a note, of work and of what was spared."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from roost.projections import Ancestor, Use
from roost.projections.spending import Spending
from roost.streams.amounts import SHORT_ID, shorten_ids, show_moment, show_money, show_seconds, show_size

from .sketch import Part

FATES = {"expired": "has expired", "forgotten": "was forgotten", "unknown": "not in the log any more"}
WORTH_MICROS = 1000
"""What took less than that without a model was cut out of something, and nobody asks how long it took."""
HEX = frozenset("0123456789abcdef")


def note_head(note: Ancestor, *, whole_id: bool = False) -> list[Part]:
    """What kind of note it is, what it is called, and its ID."""
    kind = note.kind if note.kind and note.kind != "work" else next(iter(note.tags), "note")
    return [(kind, "bold"), (title_of(note), ""), (note.id if whole_id else short(note.id), "cyan")]


def title_of(note: Ancestor) -> str:
    """What people call it; empty where all that there is is a fingerprint."""
    if note.label:
        model = f" · {note.model}"
        return note.label.removesuffix(model) if note.model else note.label
    key = note.key or ""
    return "" if len(key) > SHORT_ID and HEX.issuperset(key) else shorten_ids(key)


def note_facts(note: Ancestor, run: str | None) -> list[str]:
    """Who wrote it, where that is another run than `run`, what it took, and what has become of it."""
    facts = [f"by {note.author}" if note.author else ""]
    if note.run != run:
        facts.append(run_name(note.run))
    facts += [took(note), "" if note.fate == "unknown" else show_size(note.size)]
    return [*facts, FATES.get(note.fate, "")]


def took(note: Ancestor) -> str:
    """What computing it took; empty for a note that was put, and where that was next to nothing."""
    if note.work is None or (not note.work.calls and note.work.micros < WORTH_MICROS):
        return ""
    spent = Spending()
    spent.add(note.work)
    model = f"{note.work.model}: " if note.work.model else ""
    return f"{model}{amount(spent, spent.cost_usd)}"


def amount(spending: Spending, cost: Decimal | None) -> str:
    """1 call, 384 tokens (estimated), $0, 0.54 s."""
    return _amount(spending.calls, spending.tokens, cost, spending.seconds, estimated=spending.estimated)


def saved_words(saved: Spending | None) -> str:
    """Empty where nothing was spared that anybody knows of."""
    if saved is None or not (saved.calls or saved.micros):
        return ""
    return f"saved {amount(saved, saved.cost_again_usd)}"


def spared(
    calls: int, tokens: int, cost: Decimal | str | None, seconds: float, *, estimated: bool = False
) -> str:  # fmt: skip
    """The same, of figures that were added up elsewhere."""
    return f"saved {_amount(calls, tokens, cost, seconds, estimated=estimated)}" if calls or seconds else ""


def _amount(calls: int, tokens: int, cost: Decimal | str | None, seconds: float, *, estimated: bool = False) -> str:
    told: list[str] = []
    if calls:
        told = [counted(calls, "call"), f"{tokens:,} tokens{' (estimated)' if estimated else ''}"]
        told.append("cost unknown" if cost is None else show_money(cost))
    return ", ".join([*told, show_seconds(seconds)])


def use_words(use: Use) -> str:
    """How a note was used."""
    what = {"read": "read it", "found": "found it instead of computing", "joined": "waited for it instead of computing"}
    return what[use.how] if use.count == 1 else f"{what[use.how]} {use.count:,} times"


def run_name(run: str | None) -> str:
    return f"run {short(run)}" if run else "outside any run"


def short(ident: str) -> str:
    """The first digits of an ID; a name that somebody chose stays as it is."""
    return ident[:SHORT_ID] if len(ident) >= 20 and HEX.issuperset(ident) else ident


def counted(count: int, what: str) -> str:
    """1 note, 2 notes."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def moment(time_ms: int) -> str:
    return show_moment(time_ms) if time_ms else ""


def span_words(ms: int) -> str:
    return show_seconds(timedelta(milliseconds=ms).total_seconds())

"""What a person says of parked deliveries, twice asked, and how that ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import streamlit as st

from roost.dashboard.notice import show_notice
from roost.dashboard.sight import Sight
from roost.streams import RoostError, Shard
from roost.streams.amounts import SHORT_ID
from roost.streams.dead import Release, Released, whoever
from roost.streams.every_shard import parked_in
from roost.streams.parked import ParkedDelivery

from .opened import close, show_again

AGENT = "dashboard"
WITHIN = timedelta(seconds=20)
"""For a hundred of them, on a busy server."""
MAX_NAME, MAX_REASON = 100, 500
Word = Literal["retry", "drop"]
WHAT_HAPPENS: dict[Word, tuple[str, str]] = {
    "retry": (
        "It goes back to {actor}, as if it had never been tried, before whatever waits there for its key.",
        "These {count} go back to {actor}, as if they had never been tried, before whatever waits there for "
        "their keys.",
    ),
    "drop": (
        "It is removed for good: {actor} will not handle it. The log keeps its event, and who dropped it.",
        "These {count} are removed for good: {actor} will not handle them. The log keeps their events, and who dropped "
        "them.",
    ),
}
HOW_TO_DECIDE = (
    "To retry or drop from here, open the link with the write token that roost dash has printed; where it has printed "
    "none, start it with --write. In a terminal: roost dead retry {id}, roost dead drop {id}."
)


def title_of(one: ParkedDelivery) -> str:
    return f"{one.event.type} ({one.id[:SHORT_ID]})"


def forget_choice() -> None:
    """Whatever was pressed before was about another one."""
    st.session_state["chosen word"], st.session_state["chosen decided"] = None, ""


def show_decided() -> None:
    """What became of the last decision, until something else is opened."""
    if st.session_state.get("chosen decided"):
        show_notice("decided", st.session_state["chosen decided"])


def ask(sight: Sight, one: ParkedDelivery, alike: Sequence[ParkedDelivery], *, is_open: bool) -> None:
    """Twice: what was pressed first is carried out by another press, elsewhere. `alike` are those of the same agent
    with the same error, `one` among them; `is_open`: it can be retried."""
    chosen: tuple[Word, bool] | None = st.session_state.get("chosen word")
    if chosen is None:
        words: list[Word] = ["retry", "drop"] if is_open else ["drop"]
        with st.container(horizontal=True):
            for word in words:
                if st.button(f"{word.capitalize()}…"):
                    _choose(word, all_of_them=False)
            for word in words:
                if len(alike) > 1 and st.button(f"{word.capitalize()} all {len(alike)} like it…"):
                    _choose(word, all_of_them=True)
        return
    word, all_of_them = chosen
    meant = list(alike) if all_of_them else [one]
    words_of_one, words_of_many = WHAT_HAPPENS[word]
    happens = (words_of_many if all_of_them else words_of_one).format(actor=one.actor, count=len(meant))
    show_notice("sure", happens, trouble=word == "drop")
    with st.form("decide", enter_to_submit=False, border=False):  # Enter in a field is no second press
        left, right = st.columns(2)
        who = st.session_state.get("chosen who") or f"{whoever()} (page)"
        by = left.text_input("Who decides: it stands in the log", value=who, max_chars=MAX_NAME)
        reason = right.text_input("Why, if you like: so does this", max_chars=MAX_REASON)
        with st.container(horizontal=True):
            no = st.form_submit_button("No, leave them" if all_of_them else "No, leave it")
            what = f"all {len(meant)}" if all_of_them else "it"
            yes = st.form_submit_button(f"Yes, {word} {what}", type="primary")
    if yes:
        st.session_state["chosen who"] = by
        told = _decide(sight, meant, word, by.strip(), reason.strip())
        forget_choice()
        st.session_state["chosen decided"] = told
        close("parked")
        show_again()
    if no:
        forget_choice()
        show_again()


def _choose(word: Word, *, all_of_them: bool) -> None:
    st.session_state["chosen word"] = (word, all_of_them)
    show_again()


def _decide(sight: Sight, meant: Sequence[ParkedDelivery], word: Word, by: str, reason: str) -> str:
    """Carry it out, and tell how it ended. Of who may not write, nothing gets here."""
    if not sight.may_write:
        return HOW_TO_DECIDE.format(id=meant[0].id[:SHORT_ID])
    done: list[tuple[ParkedDelivery, Released]] = []

    async def decide(shards: Sequence[Shard]) -> None:
        parked = parked_in(shards, AGENT)
        release = parked.retry if word == "retry" else parked.drop
        for one in sorted(meant, key=lambda each: each.parked_ms):  # as they came
            done.append((one, await release(one, by=by or None, reason=reason or None)))

    try:
        sight.desk.look(decide, timeout=WITHIN)
    except RoostError as error:
        left = meant[0] if len(meant) == 1 else f"{len(meant) - len(done)} of {len(meant)} deliveries"
        what = left if isinstance(left, str) else title_of(left)
        return f"{what}: nobody knows whether that was done, as {error}"
    finally:
        sight.desk.standings.stale()
    return told_of_one(*done[0]) if len(done) == 1 else told_of_many(done)


def told_of_one(one: ParkedDelivery, released: Released) -> str:
    """How the word about one ended."""
    match released.outcome:
        case Release.RESUMED:
            return f"{title_of(one)} goes back to {one.actor}."
        case Release.DROPPED:
            return f"{title_of(one)} is dropped, of {one.actor}."
        case Release.ENDED:
            return f"{title_of(one)} cannot be retried: its run has ended, its inbox is no more; drop it, or keep it."
        case Release.GONE:
            who = f"{released.by} was quicker, it was {released.before}" if released.by else "somebody was quicker"
            return f"{title_of(one)} is parked no more: {who}."


def told_of_many(done: Sequence[tuple[ParkedDelivery, Released]]) -> str:
    """How it ended with each of several, counted."""
    actor = done[0][0].actor
    words = {
        Release.RESUMED: ("1 delivery goes back to {}", "{} deliveries go back to {}"),
        Release.DROPPED: ("1 delivery is dropped, of {}", "{} deliveries are dropped, of {}"),
        Release.ENDED: (
            "1 cannot be retried, because its run has ended",
            "{} cannot be retried: their runs have ended",
        ),
        Release.GONE: ("of 1 somebody else had decided meanwhile", "of {} somebody else had decided meanwhile"),
    }
    counts = Counter(released.outcome for _, released in done)
    told = [
        words[outcome][0].format(actor) if count == 1 else words[outcome][1].format(f"{count:,}", actor)
        for outcome in words
        if (count := counts[outcome])
    ]
    return f"{'; '.join(told)}."

"""A note that was opened: what is known of it, its content, who used it, and where it came from."""

from __future__ import annotations

import base64
import time
from datetime import timedelta

import streamlit as st

from roost.dashboard.annals.note_listing import ListedThen
from roost.dashboard.annals.note_story import NoteStory, find_note, tell_note
from roost.dashboard.card import Act, Fact, Part, show_card
from roost.dashboard.contents import Looked, look_into, readable
from roost.dashboard.lineage import LineageNote, show_lineage
from roost.dashboard.notice import show_notice
from roost.dashboard.sight import Sight, go
from roost.dashboard.table import Column, Row, show_table
from roost.projections import RecordedWork, Use
from roost.projections.spending import Spending
from roost.streams import RoostError
from roost.streams.amounts import SHORT_ID, abridge, show_moment, show_money, show_seconds, show_size, show_span

from .asked import Asked, about, address, lead

STEP = 64 * 1024
MOST_SHOWN = 1024 * 1024
MOST_SAVED = 16 * 1024 * 1024
SAVE_WITHIN = timedelta(seconds=10)
CONTENT, SAVED = "memory content", "memory saved"
USES = (
    Column("Agent"), Column("Run", "id"), Column("How"), Column("Times", "count"), Column("First at", "when"),
    Column("Calls saved", "count"), Column("Tokens", "count"), Column("Cost", "count"), Column("Time", "count"),
)  # fmt: skip
HOWS = {"read": "read it", "found": "found it", "joined": "waited for it"}


def show_opened(sight: Sight, text: str, asked: Asked, now_ms: int) -> None:
    """It. Leads on when somebody opens another, or goes back."""
    with sight.desk.annals.reading() as annals:
        found = find_note(annals.notes, text)
        story = None if isinstance(found, str) or found.written_ms > now_ms else tell_note(annals.notes, found, now_ms)
        behind = annals.behind > 0
    if story is None:
        later = "" if isinstance(found, str) else f"It was written at {show_moment(found.written_ms)}."
        _show_none(asked, text, found if isinstance(found, str) else f"There was no such note then. {later}", behind)
        return
    _show_card(sight, story, asked, now_ms)
    picked = show_lineage("lineage", _kin(story), story.kinship.edges, said=_said(story))
    if picked is not None:
        lead(address(asked) | {"note": picked})
    st.subheader("Who used it")
    rows = [_use(f"{number}", *use) for number, use in enumerate(story.uses)]
    show_table("uses", USES, rows, empty="Nobody has used it yet.", opens=False, high=320)
    if story.more_uses:
        st.text(f"And {story.more_uses:,} more.")


def _show_none(asked: Asked, text: str, why: str, behind: bool) -> None:
    show_notice("no note", f"{why}{' The log is still being read.' if behind else ''}")
    if show_card(
        "card", note="", title=abridge(text, 80), fate="", facts=(), content=None, said="", more="", can_save=False,
        saved=None,
    ):  # fmt: skip
        lead(address(asked))


def _show_card(sight: Sight, story: NoteStory, asked: Asked, now_ms: int) -> None:
    note = story.note
    most = _most(note)
    looked, trouble = _looked(sight, note, most)
    raw = looked.raw
    whole = raw is not None and len(raw) >= note.size
    content = None if raw is None else readable(note.form, raw, whole=whole)
    can_more = content is not None and not whole and most < MOST_SHOWN
    act = show_card(
        "card",
        note=note.id,
        title=note.title,
        fate=trouble or _fate(sight, story, looked),
        facts=_facts(sight, story, now_ms),
        content=content,
        said=_tell_content(note, raw, content, whole),
        more=f"Show {show_size(min(STEP * 4, note.size - most, MOST_SHOWN - most))} more" if can_more else "",
        can_save=raw is not None and note.size <= MOST_SAVED,
        saved=st.session_state.pop(SAVED, None),
    )
    if act is not None:
        _act(sight, note, asked, most, act)


def _act(sight: Sight, note: ListedThen, asked: Asked, most: int, act: tuple[Act, str, str]) -> None:
    what, name, value = act
    match what:
        case "back":
            lead(address(asked))
        case "more":
            st.session_state[CONTENT] = (note.id, min(most + 4 * STEP, MOST_SHOWN), None)
        case "save":
            _save(sight, note)
        case "run":
            go("run", run=value)
        case "filter" if name in ("agent", "run", "tag"):
            lead(about(**{name: value}))
        case _:
            return
    st.rerun()


def _most(note: ListedThen) -> int:
    """How many bytes of it are shown: at first few."""
    known: tuple[str, int, Looked | None] | None = st.session_state.get(CONTENT)
    return known[1] if known is not None and known[0] == note.id else STEP


def _looked(sight: Sight, note: ListedThen, most: int) -> tuple[Looked, str]:
    """Its first bytes, as far as they may be shown; and why they could not be had. Looked at anew each time: it may
    have gone since."""
    if note.fate != "kept":
        return Looked(None, "expired" if note.fate == "expired" else "forgotten"), ""
    past = sight.at_ms is not None
    try:
        looked = sight.desk.look(lambda shards: look_into(shards, note, most, past=past))
    except RoostError as error:
        return Looked(None), f"Its content could not be read: {error}."
    st.session_state[CONTENT] = (note.id, most, None)
    return looked, ""


def _save(sight: Sight, note: ListedThen) -> None:
    past = sight.at_ms is not None
    try:
        looked = sight.desk.look(lambda shards: look_into(shards, note, MOST_SAVED, past=past), timeout=SAVE_WITHIN)
    except RoostError:
        return  # the card says that the server is away
    if looked.raw is not None:
        kind = {"text": "txt", "json": "json"}.get(note.form, "bin")
        name = "".join(letter for letter in note.id if letter.isalnum())[:SHORT_ID]
        st.session_state[SAVED] = {
            "number": time.monotonic_ns(),
            "name": f"note-{name}.{kind}",
            "bytes": base64.b64encode(looked.raw).decode(),
        }


def _fate(sight: Sight, story: NoteStory, looked: Looked) -> str:
    note, at = story.note, show_moment(story.gone_ms) if story.note.fate != "kept" else ""
    if note.fate == "forgotten":
        return f"It was forgotten at {at}, and its content with it."
    if note.fate == "expired":
        return f"It expired at {at}. Its content is no longer shown."
    if looked.since:
        return "It lived then, and has expired since."
    match looked.why:
        case "forgotten":
            return "It lived then. It was forgotten since, and its content with it."
        case "gone" if sight.at_ms is None:
            return "It has gone at this moment."
        case "gone":
            return "It lived then. Its content has left the server since."
        case _:
            return ""


def _tell_content(note: ListedThen, raw: bytes | None, content: str | None, whole: bool) -> str:
    if raw is None:
        return ""
    if content is None:
        return f"{note.size:,} bytes that are no text."
    if whole:
        return f"All of it: {note.size:,} bytes."
    rest = "" if note.size <= MOST_SAVED else f" `roost note {note.id[:SHORT_ID]} --raw` prints all."
    return f"The first {len(raw):,} of {note.size:,} bytes.{rest}"


def _facts(sight: Sight, story: NoteStory, now_ms: int) -> list[Fact]:
    note, none = story.note, (Part("–"),)
    author = (Part(note.author, "filter", "agent", note.author),) if note.author else none
    run = (
        (Part(note.run[:SHORT_ID], "run", "run", note.run), Part("its notes", "filter", "run", note.run))
        if note.run
        else none
    )
    left = "never" if note.deadline_ms is None else show_moment(note.deadline_ms)
    if note.deadline_ms is not None and note.fate == "kept":
        left = f"in {_span(note.deadline_ms - now_ms)}, at {left}"
    facts = [
        Fact("Author", author),
        Fact("Run", run),
        Fact("Written", (Part(f"{show_moment(note.written_ms)}, {_span(now_ms - note.written_ms)} ago"),)),
        Fact("Expires", (Part(left),)),
        Fact("Size", (Part(f"{show_size(note.size)} of {note.form}"),)),
        Fact("Used", (Part(f"read {_times(note.reads)}, reused {_times(note.reused)}"),)),
        Fact("That saved", (Part(_spending(note.saved)),)),
        Fact("Work", (Part(_work(story.work)),)),
        Fact("Tags", tuple(Part(tag, "filter", "tag", tag) for tag in note.tags[:20]) or none),
        Fact("Key", (Part(note.key),) if note.key else none),
        Fact("ID", (Part(note.id),)),
        Fact("Digest", (Part(note.digest),)),
    ]
    url = sight.desk.links.url(story.traceparent)
    return [*facts, Fact("Trace", (Part("the span that wrote it, in Jaeger", url=url),))] if url else facts


def _work(work: RecordedWork | None) -> str:
    """What computing it took: summary by gpt-x, 0.8 s, 1 call, 1,200 + 90 tokens, $0.0021."""
    if work is None:
        return "none was recorded"
    facts = [work.kind if work.model is None else f"{work.kind} by {work.model}", show_seconds(work.micros / 1e6)]
    if work.model is not None:
        facts.append("1 call" if work.calls == 1 else f"{work.calls:,} calls")
        facts.append(f"{work.input_tokens:,} + {work.output_tokens:,} tokens")
        facts.append("price unknown" if work.cost_usd is None else show_money(work.cost_usd))
    return ", ".join(facts)


def _spending(saved: Spending | None) -> str:
    if saved is None:
        return "nothing so far"
    calls = "1 call" if saved.calls == 1 else f"{saved.calls:,} calls"
    cost = "price unknown" if saved.cost_again_usd is None else show_money(saved.cost_again_usd)
    return f"{calls}, {saved.tokens:,} tokens, {cost}, {show_seconds(saved.seconds)}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times" if count else "never"


def _use(row: str, use: Use, saved: Spending | None) -> Row:
    amounts = ("", "", "", "")
    if saved is not None:
        cost = show_money(saved.cost_again_usd)
        amounts = (f"{saved.calls:,}", f"{saved.tokens:,}", cost, show_seconds(saved.seconds))
    run = (use.run or "")[:SHORT_ID]
    return Row(row, (use.actor or "somebody", run, HOWS[use.how], f"{use.count:,}", show_moment(use.at_ms), *amounts))


def _kin(story: NoteStory) -> list[LineageNote]:
    notes: list[LineageNote] = []
    for kin in story.kinship.notes:
        note = story.kin.get(kin.id)
        if note is None:
            short, tells = kin.id[:SHORT_ID], f"{kin.id}: the log tells nothing of it any more"
            notes.append(
                LineageNote(
                    id=kin.id, rank=kin.rank, title=short, about="not known", tells=tells, fate="unknown", more=kin.more
                )
            )
            continue
        gone = "" if note.fate == "kept" else f" · {note.fate}"
        notes.append(
            LineageNote(
                id=kin.id,
                rank=kin.rank,
                title=note.title,
                about=f"{note.author or 'somebody'}{gone}",
                tells=f"{note.title}, by {note.author or 'somebody'}, {note.fate}",
                fate=note.fate,
                more=kin.more,
            )
        )
    return notes


def _said(story: NoteStory) -> str:
    kin = story.kinship
    if not (kin.sources or kin.built):
        return "It was made from no other note, and none was made from it so far."
    over = "over " if kin.uncounted else ""
    left = f" {over}{kin.left_out:,} of them are not shown: open a note to go on from there." if kin.left_out else ""
    return f"{over}{kin.sources:,} before it, {kin.built:,} after it.{left}".capitalize()


def _span(ms: int) -> str:
    return show_span(timedelta(milliseconds=max(0, ms)))

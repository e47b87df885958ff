"""A note's trace, drawn: above it who used it and what they made of it, below it what it was made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from roost.projections import Branch, Lineage, Use
from roost.projections.spending import Spending

from .sketch import Part, Sketch
from .words import counted, moment, note_facts, note_head, run_name, saved_words, title_of, took, use_words

if TYPE_CHECKING:
    from rich.tree import Tree

SHOWN = 20
"""Branches of one kind below a line; more are counted."""


@dataclass(frozen=True, slots=True)
class NoteTrace:
    """What the log tells of a note. `uses` are all of them, up to a bound, in the order of their first times."""

    lineage: Lineage
    uses: tuple[Use, ...]
    more_uses: int = 0


def draw_note(trace: NoteTrace, sketch: Sketch) -> list[Tree]:
    """From top to bottom: who used it, then the note and what it was made of."""
    trees = [_used(trace, sketch)] if trace.uses or trace.lineage.built.branches else []
    return [*trees, _note(trace, sketch)]


def _used(trace: NoteTrace, sketch: Sketch) -> Tree:
    note, built = trace.lineage.note, trace.lineage.built
    uses: dict[str | None, list[Use]] = {}
    for use in _told_once(trace.uses):
        uses.setdefault(use.run, []).append(use)
    made: dict[str | None, list[Branch]] = {}
    for branch in built.branches:
        made.setdefault(branch.note.run, []).append(branch)
    runs = [*uses, *[run for run in made if run not in uses]]
    readers = len({(use.actor, use.run) for use in trace.uses})
    named = [run for run in runs if run is not None]
    where = [f"in {counted(len(named), 'run')}" if named else "", "outside any run" if None in runs else ""]
    more = " and more" if trace.more_uses else ""
    who = f"Used by {counted(readers, 'agent')}{more} {' and '.join(filter(None, where))}"
    tree = sketch.root([(who if readers else "Built on", "bold")], [saved_words(_saved(trace))])
    for run in runs[:SHOWN]:
        when = "" if run is None else "the run that wrote it" if run == note.run else "another run"
        under = sketch.branch(tree, 1, [(run_name(run), "magenta")], [when])
        _users(under, uses.get(run, ()), trace, sketch)
        _made(under, made.get(run, ()), run, sketch, 2)
    sketch.more(tree, 1, len(runs) - SHOWN, "run")
    sketch.more(tree, 1, trace.more_uses, "use")
    sketch.more(tree, 1, built.more, "note", "that were made of it")
    return tree


def _told_once(uses: Sequence[Use]) -> list[Use]:
    """Whoever finds a note reads it, too: of such reads only those are told that were besides."""
    reused: Counter[tuple[str | None, str | None]] = Counter()
    for use in uses:
        if use.how != "read":
            reused[use.actor, use.run] += use.count
    counts = [use.count - (reused[use.actor, use.run] if use.how == "read" else 0) for use in uses]
    return [replace(use, count=count) for use, count in zip(uses, counts, strict=True) if count > 0]


def _users(tree: Tree, uses: Sequence[Use], trace: NoteTrace, sketch: Sketch) -> None:
    for use in uses[:SHOWN]:
        head = [(use.actor or "somebody", "bold"), (use_words(use), "green" if use.how != "read" else "")]
        facts = [saved_words(trace.lineage.note.saved(use)), moment(use.at_ms)]
        sketch.branch(tree, 2, head, facts, use.traceparent)
    sketch.more(tree, 2, len(uses) - SHOWN, "use")


def _made(tree: Tree, branches: Sequence[Branch], run: str | None, sketch: Sketch, depth: int) -> None:
    """What was made of a note, and what of that."""
    for branch in branches[:SHOWN]:
        note = branch.note
        head: list[Part] = [
            (f"{note.author or 'somebody'} made of it:", ""),
            *note_head(note),
            *_foreign(note.run, run),
        ]
        facts = [took(note), "stands elsewhere too" if branch.again else ""]
        under = sketch.branch(tree, depth, head, facts, note.traceparent)
        _made(under, branch.branches, note.run, sketch, depth + 1)
        sketch.more(under, depth + 1, branch.more, "note", "that were made of it")
    sketch.more(tree, depth, len(branches) - SHOWN, "note", "that were made of it")


def _note(trace: NoteTrace, sketch: Sketch) -> Tree:
    note, sources = trace.lineage.note, trace.lineage.sources
    written = (
        f"written by {note.author or 'somebody'}" if note.fate != "unknown" else "written before what the log holds"
    )
    tree = sketch.root([*note_head(note, whole_id=True)], note_facts(note, note.run)[-2:])
    head: list[Part] = [(written, ""), (run_name(note.run), "magenta") if note.run else ("", "")]
    sketch.branch(tree, 1, head, [moment(note.written_ms), took(note)], note.traceparent)
    if not sources.branches and not sources.more:
        sketch.branch(tree, 1, [("made of no other note", "")])
        return tree
    under = sketch.branch(tree, 1, [(f"made of {counted(len(sources.branches) + sources.more, 'note')}", "")])
    draw_sources(under, sources, sketch, 2)
    return tree


def draw_sources(tree: Tree, branch: Branch, sketch: Sketch, depth: int) -> None:
    """What a note was made of, and what these were made of, nearest first."""
    for each in branch.branches:
        note, only = each.note, _only_again(each)
        head = [*note_head(note), *_foreign(note.run, branch.note.run)]
        facts = note_facts(note, note.run)
        if only is not None and not title_of(note).startswith(title_of(only.note) or " "):
            facts.append(f"from {' '.join(text for text, _ in note_head(only.note))}")
        if each.again:
            facts.append("stands elsewhere too")
        if each.more and not each.branches:
            facts.append(f"made of {counted(each.more, 'more note')}")
        under = sketch.branch(tree, depth, head, facts, note.traceparent)
        if each.branches and only is None:
            draw_sources(under, each, sketch, depth + 1)
    sketch.more(tree, depth, branch.more, "note")


def _only_again(branch: Branch) -> Branch | None:
    """The one note that this one was made of, if it is shown elsewhere: then it is named, and needs no line."""
    only = branch.branches[0] if len(branch.branches) == 1 and not branch.more else None
    return only if only is not None and only.again else None


def _foreign(run: str | None, here: str | None) -> list[Part]:
    """Where a note comes from, if that is another run than the one next to it."""
    return [] if run == here else [(f"of {run_name(run)}" if run else "outside any run", "magenta")]


def _saved(trace: NoteTrace) -> Spending:
    total = Spending()
    for use in trace.uses:
        saved = trace.lineage.note.saved(use)
        if saved is not None:
            total.merge(saved)
    return total

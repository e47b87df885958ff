"""A run's trace, drawn: whose notes it was built on, its stages, its answers, and who built on it later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from roost.projections import AgentId, Lineage, ReuseEdge, RunReport
from roost.projections.phases import PHASES

from .note_tree import SHOWN, draw_sources
from .sketch import Part, Sketch
from .stages import Agent, Answer, LaterUse
from .words import (
    amount,
    counted,
    moment,
    note_facts,
    note_head,
    run_name,
    saved_words,
    short,
    span_words,
    spared,
    title_of,
    use_words,
)

if TYPE_CHECKING:
    from rich.tree import Tree

MOST_TYPES = 4
"""Types of events of an agent that are named on its line."""


@dataclass(frozen=True, slots=True)
class RunTrace:
    """What the log tells of a run. `lineages` are those of the answers, None where the log no longer tells."""

    report: RunReport
    phases: dict[str, str]
    agents: Sequence[Agent]
    answers: Sequence[Answer]
    lineages: Sequence[Lineage | None]
    later: Sequence[LaterUse]
    more_answers: int = 0
    span: str | None = None

    @property
    def id(self) -> str:
        return self.report.run.id


def draw_run(trace: RunTrace, sketch: Sketch) -> Tree:
    """One tree."""
    run, figures = trace.report.run, trace.report.figures
    head: list[Part] = [("run", "bold"), (run.id, "magenta"), (run.status if run.status != "seen" else "", "bold")]
    model = figures.model.calls
    facts = [
        moment(run.first_ms),
        span_words(run.last_ms - run.first_ms),
        counted(model, "model call") if model or figures.saved.calls else "",
        f"a fork of run {short(run.origin)}" if run.origin else "",
    ]
    tree = sketch.root(head, facts, trace.span)
    _built_on(tree, trace, sketch)
    _stages(tree, trace, sketch)
    _answers(tree, trace, sketch)
    _later(tree, trace, sketch)
    return tree


def _built_on(tree: Tree, trace: RunTrace, sketch: Sketch) -> None:
    """By the run that the notes are of: earlier ones, then those of its own agents."""
    edges: dict[str | None, list[ReuseEdge]] = {}
    notes: dict[str | None, list[tuple[AgentId, int]]] = {}
    for edge in trace.report.edges:
        edges.setdefault(edge.author.run if edge.author else None, []).append(edge)
    for author, count in trace.report.built_on:
        if author is not None:
            notes.setdefault(author.run, []).append((author, count))
    others = [run for run in edges if run != trace.id]
    if not edges:
        sketch.branch(tree, 1, [("built on no other agent's notes", "bold")])
        return
    under = sketch.branch(tree, 1, [("built on", "bold")], [_all_saved(trace)])
    for run in others[:SHOWN]:
        of = "notes whose writer the log no longer tells" if run is None else run_name(run)
        each = sketch.branch(under, 2, [(of, "magenta")], _notes_of(notes.get(run, ())))
        _edges(each, edges[run], trace, sketch)
    sketch.more(under, 2, len(others) - SHOWN, "run")
    if trace.id in edges:
        own = sketch.branch(under, 2, [("its own agents", "magenta")], _notes_of(notes.get(trace.id, ())))
        _edges(own, edges[trace.id], trace, sketch)


def _all_saved(trace: RunTrace) -> str:
    saved = trace.report.figures.saved
    return spared(saved.calls, saved.tokens, saved.cost_usd, saved.seconds, estimated=saved.tokens_estimated)


def _notes_of(authors: Sequence[tuple[AgentId, int]]) -> list[str]:
    if not authors:
        return []
    total = sum(count for _, count in authors)
    named = ", ".join(f"{count:,} of {author.name}" for author, count in authors[:MOST_TYPES])
    return [f"{counted(total, 'note')}: {named}" + (" and others" if len(authors) > MOST_TYPES else "")]


def _edges(tree: Tree, edges: Sequence[ReuseEdge], trace: RunTrace, sketch: Sketch) -> None:
    estimated = trace.report.figures.saved.tokens_estimated
    for edge in sorted(edges, key=lambda edge: -edge.found - edge.joined)[:SHOWN]:  # who was spared work first
        reader = edge.reader.name if edge.reader else "somebody"
        author = edge.author.name if edge.author else "somebody"
        spared_it = [
            f"found {edge.found:,} instead of computing" if edge.found else "",
            f"waited for {edge.joined:,} instead of computing" if edge.joined else "",
        ]
        read = f"read {edge.referenced:,} by ID" if edge.referenced else ""
        reused = ", ".join(filter(None, spared_it))
        head: list[Part] = [(reader, "bold"), (f"used notes of {author}:", "")]
        head += [(f"{reused}," if reused and read else reused, "green"), (read, "")]
        sketch.branch(tree, 3, head, [_saved_by(edge, estimated=estimated)])
    sketch.more(tree, 3, len(edges) - SHOWN, "pair", "of agents")


def _saved_by(edge: ReuseEdge, *, estimated: bool) -> str:
    saved = edge.saved
    return spared(saved["calls"], saved["tokens"], saved["cost_usd"], saved["seconds"], estimated=estimated)


def _stages(tree: Tree, trace: RunTrace, sketch: Sketch) -> None:
    def place(agent: Agent) -> int:
        return PHASES.index(trace.phases.get(agent.name, "other"))

    takers: dict[str, list[str]] = {}
    for agent in trace.agents:
        for kind in agent.takes:
            takers.setdefault(kind, []).append(agent.name)
    is_job = any(phase != "other" for phase in trace.phases.values())
    for phase, agents in groupby(sorted(trace.agents, key=place), key=place):
        title = PHASES[phase] if PHASES[phase] != "other" else "outside the stages" if is_job else "agents"
        listed = list(agents)
        under = sketch.branch(tree, 1, [(title, "bold")])
        for agent in listed[:SHOWN]:
            _agent(under, agent, takers, sketch)
        sketch.more(under, 2, len(listed) - SHOWN, "agent")


def _agent(tree: Tree, agent: Agent, takers: dict[str, list[str]], sketch: Sketch) -> None:
    done = [
        f"wrote {counted(agent.wrote, 'note')}" if agent.wrote else "",
        f"computed {agent.computed:,} ({amount(agent.spent, agent.spent.cost_usd)})" if agent.computed else "",
        f"reused {agent.found + agent.joined:,}" if agent.found or agent.joined else "",
        f"read {agent.read:,}" if agent.read else "",
    ]
    named = sketch.branch(tree, 2, [(agent.name or "somebody", "bold")], done, agent.span)
    if agent.takes:
        sketch.branch(named, 3, [("took", "dim"), (_types(agent.takes.most_common()), "")])
    handled = [(kind, count) for kind, count in agent.gives.most_common() if kind in takers]
    for kind, count in handled[:MOST_TYPES]:
        to = takers[kind]
        whither = f"to {', '.join(to[:MOST_TYPES])}" + (" and others" if len(to) > MOST_TYPES else "")
        sketch.branch(named, 3, [("gave", "dim"), (f"{count:,} {kind}", ""), (whither, "dim")])
    sketch.more(named, 3, len(handled) - MOST_TYPES, "type", "of events")
    if agent.gives and not handled and agent.takes:  # what it came to
        sketch.branch(named, 3, [("gave", "dim"), (_types(agent.gives.most_common()), "")])


def _types(counts: Sequence[tuple[str, int]]) -> str:
    told = ", ".join(f"{count:,} {kind}" for kind, count in counts[:MOST_TYPES])
    return told if len(counts) <= MOST_TYPES else f"{told} and others"


def _answers(tree: Tree, trace: RunTrace, sketch: Sketch) -> None:
    if not trace.answers:
        return
    under = sketch.branch(
        tree, 1, [("answers" if any(answer.question for answer in trace.answers) else "came to", "bold")]
    )
    for answer, lineage in zip(trace.answers, trace.lineages, strict=True):
        if lineage is None:
            facts = ["of which the log tells no more"]
            sketch.branch(under, 2, [(answer.question, "bold"), ("note", ""), (short(answer.note), "cyan")], facts)
            continue
        note = lineage.note
        head = [*note_head(note), (f"of {run_name(note.run)}" if note.run != trace.id else "", "magenta")]
        if not title_of(note).startswith(answer.question):
            head.insert(0, (answer.question, "bold"))
        reused = [use for use in note.uses if use.run == trace.id and use.how != "read"]
        facts = [f"{use.actor or 'somebody'} {use_words(use)}" for use in reused[:1]]
        facts += note_facts(note, note.run)
        each = sketch.branch(under, 2, head, facts, note.traceparent)
        draw_sources(each, lineage.sources, sketch, 3)
    sketch.more(under, 2, trace.more_answers, "note")


def _later(tree: Tree, trace: RunTrace, sketch: Sketch) -> None:
    if not trace.later:
        return
    runs: dict[str | None, list[LaterUse]] = {}
    for use in trace.later:
        runs.setdefault(use.run, []).append(use)
    under = sketch.branch(tree, 1, [("used later by", "bold")])
    for run, uses in list(runs.items())[:SHOWN]:
        of = sketch.branch(under, 2, [(run_name(run), "magenta")], [moment(min(use.first_ms for use in uses))])
        for use in uses[:SHOWN]:
            how = [
                f"found {use.found:,}" if use.found else "",
                f"waited for {use.joined:,}" if use.joined else "",
                f"read {use.read:,} times" if use.read else "",
            ]
            head: list[Part] = [(use.agent or "somebody", "bold"), (counted(len(use.notes), "note"), "")]
            sketch.branch(of, 3, head, [*how, saved_words(use.saved)], use.span)
        sketch.more(of, 3, len(uses) - SHOWN, "agent")
    sketch.more(under, 2, len(runs) - SHOWN, "run")

"""A trace as JSON holds it: what there is as nodes, who built on whom as edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from roost.otel.span_links import SpanLinks
from roost.projections import AgentId, Ancestor, Branch, Lineage, Use
from roost.streams.amounts import show_iso

from .note_tree import NoteTrace
from .run_tree import RunTrace

MAX_EDGES = 1000
"""Between agents."""

Data = dict[str, Any]


class Graph:
    """Nodes by their IDs, each once, and edges. A node's ID tells its kind: `note/…`, `agent/…`, `run/…`."""

    def __init__(self, links: SpanLinks) -> None:
        self._links = links
        self._nodes: dict[str, Data] = {}
        self._edges: list[Data] = []
        self._walked: set[tuple[str, str]] = set()

    def note(self, note: Ancestor, **more: Any) -> str:
        """A note, and who wrote it."""
        name = f"note/{note.id}"
        if name in self._nodes:
            self._nodes[name].update(more)
            return name
        told = note.to_data()
        uses = {key: told.pop(key) for key in ("uses", "more_uses", "traceparent", "written_ms")}
        used = sum(use["count"] for use in uses["uses"] if use["how"] != "read")
        self._nodes[name] = {
            "id": name, "type": "note", **told,
            "written": show_iso(note.written_ms) if note.written_ms else None, "reused": used, **more,
        }  # fmt: skip
        if note.author:
            writer = self.agent(note.author, note.run)
            self.edge("wrote", writer, name, note.traceparent)
        return name

    def agent(self, name: str | None, run: str | None, **more: Any) -> str:
        """An agent, in a run or in none."""
        ident = f"agent/{run or ''}/{name or ''}"
        node = self._nodes.setdefault(ident, {"id": ident, "type": "agent", "name": name, "run": run})
        node.update(more)
        return ident

    def run(self, run: str, **more: Any) -> str:
        ident = f"run/{run}"
        self._nodes.setdefault(ident, {"id": ident, "type": "run", "run": run}).update(more)
        return ident

    def edge(self, kind: str, start: str, end: str, traceparent: str | None = None, **more: Any) -> None:
        self._edges.append({"type": kind, "from": start, "to": end, **more, **self._links.to_data(traceparent)})

    def lineage(self, lineage: Lineage) -> str:
        """Both directions: `made_from` leads from a note to one of its sources."""
        for parent, branch in _walk(lineage.sources):
            self._made_from(self.note(parent.note), self.note(branch.note))
            self._left_out("more_sources", branch)
        for parent, branch in _walk(lineage.built):
            self._made_from(self.note(branch.note), self.note(parent.note))
            self._left_out("more_built", branch)
        more = {"more_sources": lineage.sources.more, "more_built": lineage.built.more}
        return self.note(lineage.note, **more)

    def _made_from(self, made: str, source: str) -> None:
        if (made, source) not in self._walked:
            self._walked.add((made, source))
            self.edge("made_from", made, source)

    def _left_out(self, what: str, branch: Branch) -> None:
        if branch.more:
            self.note(branch.note, **{what: branch.more})

    def uses(self, note: Ancestor, uses: Sequence[Use]) -> None:
        """Who read it, and who was spared the work."""
        for use in uses:
            saved = note.saved(use)
            self.edge(
                use.how, self.agent(use.actor, use.run), f"note/{note.id}", use.traceparent, count=use.count,
                first=show_iso(use.at_ms) if use.at_ms else None,
                saved=None if saved is None else amounts_of(saved),
            )  # fmt: skip

    def to_data(self) -> Data:
        return {"nodes": list(self._nodes.values()), "edges": self._edges}


def _walk(root: Branch) -> Iterator[tuple[Branch, Branch]]:
    for branch in root.branches:
        yield root, branch
        yield from _walk(branch)


def amounts_of(saved: Any) -> Data:
    from roost.projections.course import amounts

    return amounts(saved, saved.cost_again_usd)


def document_of_note(trace: NoteTrace, links: SpanLinks) -> Data:
    """Everything that is told of a note."""
    graph, note = Graph(links), trace.lineage.note
    graph.lineage(trace.lineage)
    graph.uses(note, trace.uses)
    return {"kind": "note", "id": note.id, "more_uses": trace.more_uses, **graph.to_data()}


def document_of_run(trace: RunTrace, links: SpanLinks) -> Data:
    """Everything that is told of a run."""
    graph, report = Graph(links), trace.report
    run = graph.run(
        trace.id, status=report.run.status, began=show_iso(report.run.first_ms), elapsed_s=report.run.elapsed_s,
        work=report.figures.work.to_data(), saved=report.figures.saved.to_data(), **links.to_data(trace.span),
    )  # fmt: skip
    takers: dict[str, list[str]] = {}
    for agent in trace.agents:
        for kind in agent.takes:
            takers.setdefault(kind, []).append(agent.name)
    for agent in trace.agents:
        name = graph.agent(
            agent.name, trace.id, phase=trace.phases.get(agent.name, "other"), wrote=agent.wrote, read=agent.read,
            computed=agent.computed, found=agent.found, joined=agent.joined, takes=dict(agent.takes),
            gives=dict(agent.gives), **links.to_data(agent.span),
        )  # fmt: skip
        graph.edge("took_part", name, run)
        for kind, count in agent.gives.items():
            for taker in takers.get(kind, ()):
                graph.edge("sent", name, graph.agent(taker, trace.id), event=kind, count=count)
    for edge in report.edges[:MAX_EDGES]:
        graph.edge(
            "reused", _agent(graph, edge.reader, trace.id), _agent(graph, edge.author, None), found=edge.found,
            joined=edge.joined, referenced=edge.referenced, saved=edge.saved,
        )  # fmt: skip
    for answer, lineage in zip(trace.answers, trace.lineages, strict=True):
        note = f"note/{answer.note}" if lineage is None else graph.lineage(lineage)
        graph.edge("came_to", run, note, question=answer.question or None)
    for use in trace.later:
        graph.edge(
            "built_upon", graph.agent(use.agent, use.run), run, use.span, found=use.found, joined=use.joined,
            read=use.read, notes=len(use.notes), first=show_iso(use.first_ms), saved=amounts_of(use.saved),
        )  # fmt: skip
    built_on = [
        {"agent": author.name if author else None, "run": (author.run or None) if author else None, "notes": notes}
        for author, notes in report.built_on[:MAX_EDGES]
    ]
    return {
        "kind": "run", "id": trace.id, "built_on": built_on, "more_answers": trace.more_answers,
        "left_out": max(0, len(report.edges) - MAX_EDGES), **graph.to_data(),
    }  # fmt: skip


def _agent(graph: Graph, agent: AgentId | None, run: str | None) -> str:
    return graph.agent(agent.name if agent else None, agent.run if agent else run)

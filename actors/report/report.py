"""The report: sections are summarized, ranked for each question, answered from, and joined by an editor."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from roost.streams import Note, RoostError

from ..actor import Actor, Retry
from ..completion import Ask
from ..context import Context
from ..mapreduce import Collector, Finisher, GiveUp, Mapped, Mapper, MapReduce, Missing, Reducer, Shuffler, Step
from .edit import Answer, cited, edit
from .ranking import rank
from .words import ANSWER, ANSWER_SENTENCES, OVERVIEW, SUMMARIZE, SUMMARY_SENTENCES

BEST = 8
"""Sections that a question is answered from."""
FAN_IN = 8
READS_AT_ONCE = 100


class Summarizer(Mapper):
    """Sums up a section; all questions and all runs share the summary."""

    name = "summarizer"
    concurrency = 64
    """Sections in hand; how many are computed at once is the run's to say. Who waits for another run's work, waits."""
    retry = Retry(attempts=4)


class ReportCollector(Collector):
    """Waits for the summaries of a batch of sections."""

    name = "collector"


class Ranker(Shuffler):
    """Ranks and groups summaries for each question, by ID."""

    name = "shuffler"


class Answerer(Reducer):
    """Opens the best sections by ID and writes the answer to a question."""

    name = "reducer"
    retry = Retry(attempts=4)


class Editor(Finisher):
    """Joins the answers into one report."""

    name = "editor"


class Report(MapReduce):
    """Answers questions about documents; without a question, says what they are about."""

    fan_in = FAN_IN

    def __init__(self, questions: Sequence[str], *, model: str) -> None:
        self.questions = tuple(questions)
        self.model = model

    def agents(self) -> list[Actor]:
        return [Summarizer(self), ReportCollector(), Ranker(self), Answerer(self), Editor(self)]

    async def map(self, note: Note, label: str, ctx: Context[Any]) -> Note:
        return await ctx.complete(Ask(instructions=SUMMARIZE, sentences=SUMMARY_SENTENCES, kind="summary"), note)

    async def shuffle(self, parts: Sequence[Mapped], ctx: Context[Any]) -> Mapping[str, Sequence[str]]:
        # A section that stands twice says nothing new. Equal sections have summaries of one key, though not always one
        # note: without single flight there may be several.
        texts: dict[str | None, str] = {}
        unique: list[Mapped] = []
        for first in range(0, len(parts), READS_AT_ONCE):
            some = parts[first : first + READS_AT_ONCE]
            summaries = await ctx.memory.get_all([part.mapped for part in some])
            for part, summary in zip(some, summaries, strict=True):
                if summary.key not in texts:
                    texts[summary.key] = f"{part.label}\n{part.label}\n{summary.text}"  # a title's word says more
                    unique.append(part)
        if not self.questions:
            return {"0": [part.mapped for part in unique]}
        groups: dict[str, list[str]] = {}
        for number, question in enumerate(self.questions, 1):
            order = await asyncio.to_thread(rank, question, list(texts.values()), BEST)
            groups[str(number)] = [unique[index].note for index in order]
        return groups

    async def reduce(self, step: Step, notes: Sequence[Note], ctx: Context[Any]) -> Note:
        question = self.questions[int(step.group) - 1] if step.group != "0" else None
        if step.level == 0:
            labels = tuple(f"[{step.first + number}]" for number in range(1, len(notes) + 1))
            texts = tuple(note.text for note in notes)
        else:
            # Earlier answers, taken apart by what they cite: so the labels live on through every level.
            labels, texts = by_citation([note.text for note in notes])
        if not texts:
            raise GiveUp("the partial answers cite nothing to build on")
        ask = Ask(
            instructions=OVERVIEW if question is None else ANSWER, question=question, sentences=ANSWER_SENTENCES,
            labels=labels, kind="answer", texts=texts,
        )  # fmt: skip
        return await ctx.complete(ask, *notes)

    async def finish(
        self,
        results: Mapping[str, str | None],
        members: Mapping[str, str],
        missing: Sequence[Missing],
        ctx: Context[Any],
    ) -> Note:
        answers: list[Answer] = []
        for group in sorted(results, key=int):
            question = self.questions[int(group) - 1] if group != "0" else "What the documents are about"
            listed = (await ctx.memory.get(members[group])).content
            result = results[group]
            text = None if result is None else (await ctx.memory.get(result)).text
            numbers = cited(text or "")
            sources = [(number, *listed[number - 1]) for number in numbers if number <= len(listed)]
            answers.append(Answer(question, text, result, tuple(sources)))
        if not answers and not missing:
            raise RoostError("there was nothing to answer from: the documents have no sections")
        return await ctx.memory.put(edit(answers, missing), tags=["report"])


_CITED = re.compile(r"((?:\s*\[\d+\])+)")


def by_citation(texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels, and under each the statements of the texts that cite it, in order of the labels' numbers."""
    found: dict[int, list[str]] = {}
    for text in texts:
        pieces = _CITED.split(text)
        for statement, labels in zip(pieces[::2], pieces[1::2], strict=False):
            number = cited(labels)[0]
            if statement.strip():
                found.setdefault(number, []).append(statement.strip())
    ordered = sorted(found)
    return tuple(f"[{number}]" for number in ordered), tuple("\n".join(found[number]) for number in ordered)

"""The report: sections are summarized, ranked for each question, answered from, and joined by an editor."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from roost.streams import Note

from ..actor import Actor, Retry
from ..completion import Ask
from ..context import Context
from ..mapreduce import Collector, Finisher, GiveUp, Mapped, Mapper, MapReduce, Missing, Reducer, Shuffler, Step
from ..models import ModelNotAllowed, NoSuchModel, QuotaExhausted
from .edit import Answer, cited, edit
from .halt import Halt
from .ranking import rank
from .spec import RunHalted
from .words import ANSWER, ANSWER_SENTENCES, OVERVIEW, SUMMARY

BEST = 8
FAN_IN = 8
READS_AT_ONCE = 100
OVERVIEW_TITLE = "What the documents are about"
HOPELESS = (ModelNotAllowed, NoSuchModel, QuotaExhausted)
"""Errors of the model that every further call would meet."""


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
    best: int = BEST
    """Sections that a question is answered from."""

    def __init__(self, questions: Sequence[str], halt: Halt | None = None) -> None:
        self.questions = tuple(questions)
        self._halt = halt or Halt()

    def agents(self) -> list[Actor]:
        return [Summarizer(self), ReportCollector(), Ranker(self), Answerer(self), Editor(self)]

    async def map(self, note: Note, label: str, ctx: Context[Any]) -> Note:
        return await self._ask(replace(SUMMARY, title=label), [note], ctx)

    async def _ask(self, ask: Ask, notes: Sequence[Note], ctx: Context[Any]) -> Note:
        """The model's answer. An error that every further call would meet halts the run: whoever follows it ends it."""
        try:
            return await ctx.complete(ask, *notes)
        except HOPELESS as error:
            self._halt.reason = str(error)
            ctx.emit(RunHalted(ctx.run or "", self._halt.reason))
            raise GiveUp(self._halt.reason) from error

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
            order = await asyncio.to_thread(rank, question, list(texts.values()), self.best)
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
        return await self._ask(ask, notes, ctx)

    def title(self, group: str) -> str:
        return OVERVIEW_TITLE if group == "0" else self.questions[int(group) - 1]

    async def finish(
        self,
        results: Mapping[str, str | None],
        members: Mapping[str, str],
        missing: Sequence[Missing],
        ctx: Context[Any],
    ) -> Note:
        answers: list[Answer] = []
        if not results and not missing:
            raise GiveUp("there is nothing to answer from: the documents have no text")
        for number in range(1, len(self.questions) + 1) if self.questions else [0]:
            group, result = str(number), results.get(str(number))
            listed: list[list[str]] = (await ctx.memory.get(members[group])).content if group in members else []
            text = None if result is None else (await ctx.memory.get(result)).text
            sources = [
                (label, listed[label - 1][0], listed[label - 1][1])
                for label in cited(text or "")
                if 0 < label <= len(listed)
            ]
            answers.append(Answer(self.title(group), text, result, tuple(sources)))
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

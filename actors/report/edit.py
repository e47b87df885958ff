"""The editor's hand: answers, their sources and what is missing, as one Markdown text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..mapreduce import Missing

_LABEL = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Answer:
    """A question's answer: its text and note, None where it is missing; its sources as (number, note ID, title)."""

    question: str
    text: str | None
    note: str | None
    sources: tuple[tuple[int, str, str], ...]


def cited(text: str) -> list[int]:
    """The numbers that a text cites, each once, in order."""
    return sorted({int(number) for number in _LABEL.findall(text)})


def edit(answers: Sequence[Answer], missing: Sequence[Missing]) -> str:
    """The report as Markdown: every statement cites section notes, listed with their IDs below its answer."""
    lines = ["# Report", ""]
    for answer in answers:
        lines += [f"## {_one_line(answer.question)}", ""]
        if answer.text is None:
            lines += ["*No answer: see what is missing, below.*", ""]
            continue
        lines += [answer.text.strip(), ""]
        lines += [f"- [{number}] {_one_line(title)} (note `{note}`)" for number, note, title in answer.sources]
        lines += [""] if answer.sources else []
    if missing:
        lines += ["## Missing", ""]
        reasons: dict[str, list[str]] = {}
        for each in missing:
            reasons.setdefault(each.reason, []).append(each.what)
        for reason, names in reasons.items():
            said = name_missing(names[0], reason) if len(names) == 1 else f"{reason}: {'; '.join(names)}"
            lines.append(f"- {_one_line(said)}")
        lines += [""]
    return "\n".join(lines)


def name_missing(what: str, reason: str) -> str:
    """What is missing and why; errors of documents name the document themselves."""
    return reason if reason.startswith(f"{what}:") else f"{what}: {reason}"


def _one_line(text: str) -> str:
    return " ".join(text.split())

"""The answers of a run: what the groups of its job were reduced to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from roost.projections.recorded import OddData, data_of, optional_text, text_of, texts_of
from roost.streams import Event

from .past import Past
from .place import group_name

OVERVIEW = "What the documents are about"


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a question, as a note; without one, why."""

    question: str
    note: str | None
    error: str | None


class Answers:
    """Folds a run's events, and of a fork those of its past, into its answers."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self._questions: tuple[str, ...] | None = None
        self._reduced: dict[str, tuple[str | None, str | None]] = {}

    def evolve(self, event: Event) -> None:
        """Take one event in."""
        if not self._past.has(event):
            return
        try:
            if event.type == "run.started":
                self._questions = texts_of(data_of(event), "questions")
            elif event.type == "group.reduced":
                data = data_of(event)
                result = optional_text(data, "result"), optional_text(data, "error")
                self._reduced[text_of(data, "group")] = result
        except OddData:
            return

    def answers(self) -> dict[str, Answered]:
        """By question, in the order of the questions."""
        listed = [str(number) for number in range(1, len(self._questions or ()) + 1)]
        found: dict[str, Answered] = {}
        for group in [*listed, *sorted(self._reduced.keys() - set(listed))]:
            note, error = self._reduced.get(group, (None, "the run ended before it was answered"))
            is_overview = group == "0" and self._questions == ()
            question = OVERVIEW if is_overview else group_name(group, self._questions or ())
            found[question] = Answered(question, note, error)
        return found


def compare_answers(
    first: Mapping[str, Answered], second: Mapping[str, Answered],
    texts: tuple[Mapping[str, str], Mapping[str, str]],
) -> list[dict[str, Any]]:  # fmt: skip
    """The answers side by side, by question. `texts` has those of notes that are still known, of each run."""
    rows: list[dict[str, Any]] = []
    for question in dict.fromkeys([*first, *second]):
        sides = [_side(answers.get(question), known) for answers, known in zip((first, second), texts, strict=True)]
        same = sides[0]["answer"] is not None and sides[0]["answer"] == sides[1]["answer"]
        rows.append({"question": question, "same": same, "first": sides[0], "second": sides[1]})
    return rows


def _side(answered: Answered | None, texts: Mapping[str, str]) -> dict[str, Any]:
    if answered is None:
        return {"answer": None, "note": None, "error": "was not asked"}
    text = None if answered.note is None else texts.get(answered.note)
    error = answered.error if answered.note is None or text is not None else "its text was forgotten"
    return {"answer": text, "note": answered.note, "error": error}

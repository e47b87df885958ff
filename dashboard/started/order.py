"""What somebody has ordered on the page: the options of a run, checked before a command is made of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal

from roost.streams import RoostError

Way = Literal["shared", "isolated", "compare"]
MAX_QUESTIONS = 16
MAX_QUESTION_CHARACTERS = 2_000
MAX_MODEL_CHARACTERS = 200
MAX_AGENTS = 64
MAX_PROCESSES = 8
MAX_LATENCY_S = 60.0
MAX_CALLS = 10_000_000
OFFLINE = "offline"
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]+")


class RunRefused(RoostError):
    """The run cannot be started like that; the message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """A run as `roost run` is to make it. `latency_s` is simulated, of the offline model; `max_cost` is in US dollars.

    Without a question its report is a summary.
    """

    questions: tuple[str, ...] = ()
    model: str = OFFLINE
    way: Way = "shared"
    agents: int = 8
    processes: int = 1
    max_calls: int | None = None
    max_cost: str = ""
    latency_s: float = 0.0

    def arguments(self, *, plan: bool = False) -> list[str]:
        """The options of the command. Raises RunRefused."""
        self._check(plan=plan)
        words = [f"--question={question}" for question in self.questions]
        words += [f"--model={self.model}", f"--agents={self.agents}", f"--processes={self.processes}"]
        if self.way != "shared" and not (plan and self.way == "compare"):  # one run of the three is planned
            words.append(f"--{self.way}")
        if self.max_calls is not None:
            words.append(f"--max-calls={self.max_calls}")
        if self.max_cost:
            words.append(f"--max-cost={self.max_cost}")
        if self.latency_s and self.model == OFFLINE:
            words.append(f"--latency={self.latency_s:g}")
        return [*words, "--plan"] if plan else words

    def _check(self, *, plan: bool) -> None:
        if len(self.questions) > MAX_QUESTIONS:
            raise RunRefused(f"There are {len(self.questions)} questions: ask at most {MAX_QUESTIONS} at a time.")
        for question in self.questions:
            if len(question) > MAX_QUESTION_CHARACTERS:
                raise RunRefused(f"A question is longer than {MAX_QUESTION_CHARACTERS:,} characters: make it shorter.")
        if (
            not self.model
            or len(self.model) > MAX_MODEL_CHARACTERS
            or not self.model.isprintable()
            or " " in self.model
        ):
            raise RunRefused("That is no model's name: write offline, or openai/ and the name of one.")
        if not (1 <= self.agents <= MAX_AGENTS and 1 <= self.processes <= MAX_PROCESSES):
            raise RunRefused(f"There can be 1 to {MAX_AGENTS} agents, and 1 to {MAX_PROCESSES} processes.")
        if self.max_calls is not None and not 0 <= self.max_calls <= MAX_CALLS:
            raise RunRefused("At most so many calls: give a number from 0 on.")
        if not 0 <= self.latency_s <= MAX_LATENCY_S:
            raise RunRefused(f"A call can be simulated to take 0 to {MAX_LATENCY_S:g} seconds.")
        if self.max_cost and not _is_cost(self.max_cost):
            raise RunRefused("The most that it may cost is in US dollars, like 0.50.")
        if self.way == "compare" and not plan and (self.max_calls is not None or self.max_cost):
            raise RunRefused("Comparing makes several runs, in full: leave the bounds on calls and cost out.")


def questions_in(text: str) -> tuple[str, ...]:
    """One question a line; each once."""
    lines = (" ".join(_CONTROL.sub(" ", line).split()) for line in text.splitlines())
    return tuple(dict.fromkeys(line for line in lines if line))


def _is_cost(text: str) -> bool:
    try:
        cost = Decimal(text)
    except InvalidOperation:
        return False
    return cost.is_finite() and cost >= 0

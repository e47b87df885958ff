"""An answer made of the input's own sentences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import AnswerCutOff, EmptyAnswer, ModelRefusedRequest
from .model import Input, Request
from .sentence import Kind, Sentence, split_sentences
from .usage import CHARACTERS_PER_TOKEN

MAX_INPUT_CHARACTERS = 4_000_000
SENTENCES_OF_ONE = 3
SENTENCES_OF_SEVERAL = 5
TOO_ALIKE = 0.6
"""A sentence that shares more of its words than this with one already picked says the same again."""

FEWEST_WORDS = 4
"""What has fewer is hardly a statement: it comes after what has more."""

BARE_CHARACTERS = 200
"""So much is quoted of a text that has no words and no lines to choose from, such as a rule or a fence."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that may be quoted. `place` orders all of them, `source` is its input, `words` are its stems."""

    place: int
    source: int
    sentence: Sentence
    words: tuple[str, ...]

    def repeats(self, other: Candidate) -> bool:
        mine, others = set(self.words), set(other.words)
        if not mine or not others:
            return self.sentence.text == other.sentence.text
        return len(mine & others) > TOO_ALIKE * len(mine | others)


def extract(request: Request) -> str:
    """The sentences picked, with their labels. Takes time in proportion to the input: not for the event loop."""
    from .ranking import rank  # loads numpy and sumy
    from .words import content_words

    characters = sum(len(each.text) for each in request.inputs)
    if characters > MAX_INPUT_CHARACTERS:
        raise ModelRefusedRequest(
            f"the input has {characters:,} characters, the offline model takes {MAX_INPUT_CHARACTERS:,}: split it"
        )
    wanted = request.sentences or (SENTENCES_OF_ONE if len(request.inputs) < 2 else SENTENCES_OF_SEVERAL)
    asked = content_words(request.question or "")
    candidates = _candidates(request.inputs, wanted, with_rows=bool(asked))
    if not candidates:
        raise EmptyAnswer("the offline model picks sentences and was given no text to pick from")
    order = rank([each.words for each in candidates], asked, leads=_leads(candidates), at_least=wanted)
    sources = len({each.source for each in candidates})
    share = wanted if sources == 1 else max(-(-wanted // 2) if asked else 0, -(-2 * wanted // sources))
    return _write(request, _pick([candidates[index] for index in order], wanted, share))


def _candidates(inputs: Sequence[Input], wanted: int, *, with_rows: bool) -> list[Candidate]:
    """Sentences of the best kind, and of the next kinds for as long as there are too few.

    `with_rows` puts table rows beside prose: they often hold what a question asks for.
    """
    from .words import content_words, count_words

    tiers: tuple[list[tuple[int, int, Sentence]], ...] = ([], [], [], [], [])
    place = 0
    for source, document in enumerate(inputs):
        units = split_sentences(document.text)
        if not units and (bare := " ".join(document.text.split())):
            units = [Sentence(bare[:BARE_CHARACTERS], Kind.CODE)]
        for unit in units:
            tiers[_tier(unit, count_words(unit.text), with_rows=with_rows)].append((place, source, unit))
            place += 1
    chosen: list[tuple[int, int, Sentence]] = []
    for tier in tiers:
        chosen.extend(tier)
        if len(chosen) >= wanted:
            break
    chosen.sort(key=lambda each: each[0])
    return [Candidate(place, source, unit, tuple(content_words(unit.text))) for place, source, unit in chosen]


def _leads(candidates: Sequence[Candidate]) -> list[float]:
    """1 for the first sentence of each input, falling with the root of its place: authors begin with what matters."""
    seen = Counter[int]()
    leads: list[float] = []
    for candidate in candidates:
        seen[candidate.source] += 1
        leads.append(1 / math.sqrt(seen[candidate.source]))
    return leads


def _tier(unit: Sentence, words: int, *, with_rows: bool) -> int:
    if words == 0:
        return 4
    if unit.kind is Kind.HEADING:
        return 3
    if unit.kind is Kind.CODE or (unit.kind is Kind.ROW and not with_rows):
        return 2
    return 0 if words >= FEWEST_WORDS and not unit.text.endswith((":", "：")) else 1


def _pick(ranked: Sequence[Candidate], wanted: int, share: int) -> list[Candidate]:
    """The best that do not repeat one another; no input gives more than its share while another still can."""
    picked: list[Candidate] = []
    passed_over: list[Candidate] = []
    for candidate in ranked:
        if len(picked) == wanted:
            return picked
        if any(candidate.repeats(other) for other in picked):
            continue
        full = sum(other.source == candidate.source for other in picked) >= share
        (passed_over if full else picked).append(candidate)
    for candidate in passed_over:
        if len(picked) < wanted and not any(candidate.repeats(other) for other in picked):
            picked.append(candidate)
    return picked


def _write(request: Request, picked: Sequence[Candidate]) -> str:
    """The picked sentences in the order of the inputs, the best first for what room there is."""
    room = (request.max_output_tokens or MAX_INPUT_CHARACTERS) * CHARACTERS_PER_TOKEN
    pieces: list[tuple[Candidate, str]] = []
    for candidate in picked:
        piece = " ".join(filter(None, (candidate.sentence.text, _citation(request.inputs, candidate.source))))
        room_taken = len(piece) + (1 if pieces else 0)
        if room_taken <= room:
            room -= room_taken
            pieces.append((candidate, piece))
    if not pieces:
        raise AnswerCutOff(f"no sentence fits into {request.max_output_tokens} tokens: raise max_output_tokens")
    pieces.sort(key=lambda each: each[0].place)
    text, before = "", None
    for candidate, piece in pieces:
        kind = candidate.sentence.kind
        text += piece if before is None else (" " if kind is before is Kind.PROSE else "\n") + piece
        before = kind
    return text


def _citation(inputs: Sequence[Input], source: int) -> str:
    label = " ".join(inputs[source].label.split())
    if label.startswith("[") and label.endswith("]"):
        return label
    return f"[{label}]" if label and len(inputs) > 1 else ""

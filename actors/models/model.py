"""What Roost asks of a model, and what it gets back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from typing import Protocol

import orjson

from .errors import InvalidRequest
from .usage import Usage, estimate_tokens

MAX_SENTENCES = 64
MAX_SEED = 2**63 - 1
FINGERPRINT_BYTES = 20


@dataclass(frozen=True, slots=True)
class Input:
    """A document, passed to the model as data. `label` is what an answer cites it by, such as `[3]`."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model; it holds everything of the question that can change the answer.

    `instructions` say what to do; they reach the model as they are. `inputs` are data, never instructions. `sentences`
    is a length for models that pick sentences; to others the instructions must say it. A temperature or seed of None
    leaves the choice to the server. A request that no model could take raises `InvalidRequest` here, before it costs
    anything.
    """

    instructions: str
    inputs: tuple[Input, ...] = ()
    question: str | None = None
    sentences: int | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if not (self.instructions.strip() or (self.question or "").strip() or self.inputs):
            raise InvalidRequest("the request is empty: give instructions, a question or a document")
        if self.sentences is not None and not 1 <= self.sentences <= MAX_SENTENCES:
            raise InvalidRequest(f"sentences is {self.sentences}: it must be from 1 to {MAX_SENTENCES}")
        if self.max_output_tokens is not None and self.max_output_tokens < 1:
            raise InvalidRequest(f"max_output_tokens is {self.max_output_tokens}: it must be at least 1")
        if self.temperature is not None and not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise InvalidRequest(f"temperature is {self.temperature}: it must be a number from 0 up")
        if self.seed is not None and abs(self.seed) > MAX_SEED:
            raise InvalidRequest("seed does not fit into 64 bits: use a smaller one")
        try:
            for text in self._texts():
                text.encode()
        except UnicodeEncodeError as error:
            raise InvalidRequest("the request holds text that is not valid Unicode: decode it anew") from error

    def fingerprint(self) -> str:
        """40 hexadecimal digits, the same in every process for the same request, another for any other."""
        facts = {
            "format": 1,
            "instructions": self.instructions,
            "inputs": [[each.label, each.text] for each in self.inputs],
            "question": self.question,
            "sentences": self.sentences,
            "max_output_tokens": self.max_output_tokens,
            # 0 and 0.0 ask for the same thing, and must not be computed twice
            "temperature": None if self.temperature is None else float(self.temperature),
            "seed": self.seed,
        }
        canonical = orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)
        return blake2b(canonical, digest_size=FINGERPRINT_BYTES).hexdigest()

    def estimated_input_tokens(self) -> int:
        """What a model would have to read, before anyone has counted: a quarter of the characters."""
        return estimate_tokens(*self._texts())

    def estimated_tokens(self) -> int:
        """As above, with as many as the answer may have, where that was said."""
        return self.estimated_input_tokens() + (self.max_output_tokens or 0)

    def _texts(self) -> list[str]:
        documents = [part for each in self.inputs for part in (each.label, each.text)]
        return [self.instructions, self.question or "", *documents]


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer that may be kept: neither empty nor cut off.

    `cost_usd` is None when the price is not known. `cached_tokens`, part of `input_tokens`, is 0 where the server does
    not say. `tokens_estimated` marks tokens that nobody counted. `answered_by` is the server's own name for the model.
    `cost_cached_usd` is what it would have cost had the server found all of the input in its own cache, where it tells
    of one and the price is known.
    """

    text: str
    model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost_usd: Decimal | None
    tokens_estimated: bool
    duration_ms: float
    answered_by: str | None = None
    cost_cached_usd: Decimal | None = None

    @property
    def usage(self) -> Usage:
        return Usage(self.input_tokens, self.output_tokens, self.cached_tokens)


class Model(Protocol):
    """Something that answers requests. Errors of `complete` are `ModelError`s, which say whether to try again."""

    @property
    def name(self) -> str:
        """What people call it by: `offline`, `openai/<name>`."""
        ...

    @property
    def label(self) -> str:
        """The name with what people must know beside it, such as a simulated latency."""
        ...

    @property
    def identity(self) -> str:
        """Everything but the request that changes the answer; part of the key an answer is kept under. No secrets."""
        ...

    def cost(self, usage: Usage) -> Decimal | None:
        """US dollars for that many tokens; None when the price is not known."""
        ...

    async def complete(self, request: Request) -> Completion: ...

    async def close(self) -> None: ...

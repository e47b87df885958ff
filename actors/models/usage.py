"""What a call consumed, in tokens."""

from __future__ import annotations

from dataclasses import dataclass

CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `cached_tokens` are those of `input_tokens` that the server had cached; `tells_cached` is
    whether it has said how many these were, be it none."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    tells_cached: bool = False


def estimate_tokens(*texts: str | None) -> int:
    """A quarter of the characters, rounded up: the usual estimate for English where nobody has counted."""
    characters = sum(len(text) for text in texts if text)
    return -(-characters // CHARACTERS_PER_TOKEN)

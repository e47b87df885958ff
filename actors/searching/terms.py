"""Terms: what the words of a note are in the index. Not the words themselves: digests of their stems, of five bytes.

So no file of an index holds a text, or a word of one. That keeps no secret from who can guess the words.
"""

from __future__ import annotations

from base64 import b32encode
from collections import Counter
from functools import lru_cache
from hashlib import blake2b

from ..models.words import content_words

TERM_BYTES = 5
ENTRY_BYTES = TERM_BYTES + 1
"""Of a packed term: its digest, and how often it occurs, up to 255."""


@lru_cache(maxsize=131_072)
def term_of(stem: str) -> bytes:
    """A word's term."""
    return blake2b(stem.encode(), digest_size=TERM_BYTES).digest()


def tag_term(tag: str) -> bytes:
    """What a note has for a tag, beside its words: no word is like it."""
    return blake2b(f"tag {tag}".encode(), digest_size=TERM_BYTES).digest()


def author_term(author: str) -> bytes:
    return blake2b(f"author {author}".encode(), digest_size=TERM_BYTES).digest()


def token(term: bytes) -> str:
    """As the engine's tokenizer takes it: eight letters and digits."""
    return b32encode(term).decode().lower()


def terms_asked(text: str) -> list[bytes]:
    """Each word of a question once, in its order."""
    return list(dict.fromkeys(term_of(stem) for stem in content_words(text)))


def terms_in(text: str) -> list[bytes]:
    """Each word of a text, as often as it occurs."""
    return [term_of(stem) for stem in content_words(text)]


def pack(terms: list[bytes]) -> bytes:
    """Which terms there are, and how often."""
    return b"".join(term + bytes((min(255, count),)) for term, count in Counter(terms).items())


def unpacked(packed: bytes) -> list[bytes]:
    """The terms that are packed, each once."""
    return [packed[first : first + TERM_BYTES] for first in range(0, len(packed), ENTRY_BYTES)]


def count_in(packed: bytes, term: bytes) -> int:
    """How often a term occurs; 0 if it does not."""
    at = packed.find(term)
    while at >= 0 and at % ENTRY_BYTES:
        at = packed.find(term, at + 1)
    return 0 if at < 0 else packed[at + TERM_BYTES]

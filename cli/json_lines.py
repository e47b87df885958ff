"""JSON for standard output: one document, or one object a line, that may also go to a terminal."""

from __future__ import annotations

import re
from typing import Any

import orjson

_NOT_ASCII = re.compile("[^\x20-\x7e\n]")


def dump_safely(value: Any, *, pretty: bool = False) -> str:
    """JSON in which what could command a terminal stands as \\u escapes, and what JSON lacks as text."""
    option = orjson.OPT_INDENT_2 if pretty else 0
    return escape_json(orjson.dumps(value, default=str, option=option | orjson.OPT_NON_STR_KEYS).decode())


def escape_json(text: str) -> str:
    """JSON text, with the characters that a terminal must not get as \\u escapes."""
    if text.isprintable() or (text.isascii() and "\x7f" not in text):  # nearly always, and quick to see
        return text
    return _NOT_ASCII.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    from roost.streams.printable import printable

    character = found[0]
    if printable(character) == character:
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))

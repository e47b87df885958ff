"""The words of a request: what the model reads of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

ASKED = ("instructions", "messages", "input", "prompt")
"""Members of requests that hold what the model reads."""

NO_TEXT = ("role", "type", "id", "status", "detail")


def words_of(body: dict[str, Any]) -> list[str]:
    """All texts, in their order; no pictures and files, which stand as data: URLs."""
    return [text for name in ASKED for text in _texts(body.get(name))]


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if not value.startswith("data:"):
            yield value
    elif isinstance(value, list):
        for each in cast("list[object]", value):
            yield from _texts(each)
    elif isinstance(value, dict):
        for name, each in cast("dict[str, object]", value).items():
            if name not in NO_TEXT:
                yield from _texts(each)

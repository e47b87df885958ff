"""Renaming: what the events of a run say, as those of its fork say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson


class Renaming:
    """Replaces the ID of a run, and of notes that were edited: whole texts, and whole segments of `a/b/c`.

    Never a part of a word: an ID may stand in a sentence by chance, and that is not its business.
    """

    def __init__(self, origin: str, run: str, notes: Mapping[str, str] | None = None) -> None:
        self._names = {**(notes or {}), origin: run}

    def text(self, text: str) -> str:
        """A subject, a key, an ID."""
        found = self._names.get(text)
        if found is not None or "/" not in text:
            return text if found is None else found
        return "/".join([self._names.get(segment, segment) for segment in text.split("/")])

    def body(self, body: bytes) -> bytes:
        """An event's data. What holds none of the IDs stays as it is, byte for byte."""
        if not any(name.encode() in body for name in self._names):
            return body
        return orjson.dumps(self._value(orjson.loads(body)))

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._value(each) for each in cast("Sequence[Any]", value)]
        if isinstance(value, dict):
            return {self.text(name): self._value(each) for name, each in cast("dict[str, Any]", value).items()}
        return value

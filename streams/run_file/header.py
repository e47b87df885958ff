"""The first line of a run's file: what it is, and of which run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import orjson

from ..keys import NAME
from .refusal import RunFileUnusable

KIND = "run"
FORMAT = 1
"""The format that this program writes, and the newest it reads."""
MAX_NAME = 1024


@dataclass(frozen=True, slots=True)
class Header:
    """`run` is its ID, `flock` the name of the flock in which it was made."""

    run: str
    flock: str

    def to_line(self) -> bytes:
        return orjson.dumps({"roost": KIND, "format": FORMAT, "run": self.run, "flock": self.flock}) + b"\n"

    @classmethod
    def parse(cls, line: bytes, name: str) -> Header:
        """Raises RunFileUnusable for what is no header, or one of a newer format."""
        strange = RunFileUnusable(f"{name} is no recorded run: `roost export` writes such files")
        try:
            told: Any = orjson.loads(line)
        except ValueError:
            raise strange from None
        if not isinstance(told, dict):
            raise strange
        members = cast("dict[str, Any]", told)
        number, run, flock = members.get("format"), members.get("run"), members.get("flock")
        if members.get("roost") != KIND or type(number) is not int:
            raise strange
        if number > FORMAT:
            raise RunFileUnusable(
                f"{name} was written by a newer Roost (format {number}; this one reads {FORMAT}): update Roost"
            )
        if not (isinstance(run, str) and 0 < len(run) <= MAX_NAME and isinstance(flock, str) and NAME.fullmatch(flock)):
            raise strange
        return cls(run, flock)

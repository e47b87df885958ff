"""The seal: what a range of a shard's log was when it was closed, signed, and the digest of the seal before it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields, replace
from hashlib import sha256
from typing import Any, cast

import orjson

from .faults import DamagedSeal

FORMAT = 1
_ENTRY = re.compile(r"\d{1,20}-\d{1,20}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """Of all entries of the shard's log behind `after`, up to and with `last`.

    `number` counts the shard's seals from 1, `passed` all events up to here. `epoch` is the log's. `digest`, `ids` and
    `fields` are the Tally's. `before` is the digest of the seal before, empty for the first. `time` is in milliseconds.
    `anew`: the log had lost what was sealed, somebody has decided to go on, and this one begins at its start again.
    `key` is the ID of the key that signed, `signature` is in hexadecimal digits.
    """

    flock: str
    shard: int
    number: int
    epoch: str
    after: str
    first: str
    last: str
    events: int
    passed: int
    digest: str
    ids: str
    fields: str
    before: str
    time: int
    anew: bool = False
    algorithm: str = ""
    key: str = ""
    signature: str = ""
    format: int = FORMAT

    def to_json(self) -> bytes:
        """One line, members in the order of their names: the same seal is always the same bytes."""
        return orjson.dumps(asdict(self), option=orjson.OPT_SORT_KEYS)

    @property
    def signed(self) -> bytes:
        """What the signature is over."""
        return b"roost seal\n" + replace(self, signature="").to_json()

    @property
    def own_digest(self) -> str:
        """What the next seal has as `before`."""
        return sha256(self.to_json()).hexdigest()

    @property
    def range(self) -> str:
        """For people."""
        return f"{self.first} to {self.last}"

    @classmethod
    def parse(cls, line: bytes) -> Seal:
        """Raises DamagedSeal."""
        try:
            read: Any = orjson.loads(line)
            if not isinstance(read, dict):
                raise DamagedSeal("it is no JSON object")
            told = cast("dict[str, Any]", read)
            known = {one.name: one.type for one in fields(cls)}
            if set(known) != set(told):
                raise DamagedSeal("its members are not those of a seal")
            kinds: dict[str, type] = {"int": int, "str": str, "bool": bool}
            if any(type(told[name]) is not kinds[str(kind)] for name, kind in known.items()):
                raise DamagedSeal("a member of it is of another kind than a seal's")
            seal = cls(**told)
        except (ValueError, TypeError) as error:
            raise DamagedSeal(f"it is no seal: {error}") from None
        if seal.format != FORMAT:
            raise DamagedSeal(f"it has the format {seal.format}, of another Roost")
        if not all(_ENTRY.fullmatch(entry) for entry in (seal.after, seal.first, seal.last)):
            raise DamagedSeal("its range is none")
        return seal


def place_of(entry: str) -> tuple[int, int]:
    """An entry's ID, to be compared."""
    ms, _, seq = entry.partition("-")
    return int(ms), int(seq)

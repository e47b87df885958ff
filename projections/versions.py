"""Versions of subjects, folded from the log: what the write script keeps up by itself must equal this."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson

from roost.streams import Event, Position


class VersionsFold:
    """Folds one shard's log, from its start on, or from a state that `dump` has told and `load` reads: each subject's
    version and the entry of its last event, as the server has them, `<version> <entry>`."""

    def __init__(self) -> None:
        self.by_subject: dict[str, str] = {}
        self.position: Position | None = None

    def __len__(self) -> int:
        return len(self.by_subject)

    def of(self, subject: str) -> tuple[int, str]:
        """A subject's version and the entry of its last event; 0 and '' without any."""
        version, _, entry = self.by_subject.get(subject, "0 ").partition(" ")
        return int(version), entry

    def evolve(self, event: Event) -> None:
        """Take one event in."""
        position = event.position
        if position is not None and event.version is not None:
            self.position = position
            self.by_subject[event.subject] = f"{event.version} {position.entry}"

    def drop(self, subject: str) -> None:
        """Nothing more will happen to it, and its events have been trimmed."""
        self.by_subject.pop(subject, None)

    def dump(self) -> Iterator[bytes]:
        """What has been folded, as lines of JSON. `load` makes it again of them."""
        for subject, stored in self.by_subject.items():
            version, _, entry = stored.partition(" ")
            yield orjson.dumps({"row": "version", "subject": subject, "version": int(version), "entry": entry})

    @classmethod
    def load(cls, lines: Iterable[bytes], shard: int = 0) -> VersionsFold:
        """The fold of which `dump` has told. Lines of other rows are passed over."""
        fold = cls()
        for line in lines:
            row = orjson.loads(line)
            if row["row"] == "version":
                fold.by_subject[row["subject"]] = f"{row['version']} {row['entry']}"
            elif row["row"] == "fold" and row["at"] is not None:
                fold.position = Position.parse(row["at"], shard=shard)
        return fold

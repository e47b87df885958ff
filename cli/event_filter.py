"""Which events `roost log` shows."""

from __future__ import annotations

from dataclasses import dataclass

from roost.streams import Event


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Takes events of any of the types (`note.*`: of all that begin so), of the run and about the subject.

    Run and subject may be given by their beginnings, as tables show them.
    """

    types: tuple[str, ...] = ()
    run: str | None = None
    subject: str | None = None

    def takes(self, event: Event) -> bool:
        if self.types and not any(_fits(event.type, wanted) for wanted in self.types):
            return False
        if self.run is not None and not (event.run or "").startswith(self.run):
            return False
        return self.subject is None or event.subject.startswith(self.subject)


def _fits(kind: str, wanted: str) -> bool:
    return kind.startswith(wanted[:-1]) if wanted.endswith("*") else kind == wanted

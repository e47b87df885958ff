"""The specification of a run: how it was set up, where it comes from, and whose code has worked for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from roost.projections.recorded import Data, OddData, data_of, optional_text
from roost.streams import Event

from .past import Past

OWN = frozenset({"run"})
"""What no two runs have in common."""
MOST_CODES = 20


class Specification:
    """Folds a run's events, and of a fork those of its past, into how it was set up."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self.run = past.run
        self.settings: Data = {}
        self.forked = past.forked
        self.models: dict[str, str] = {}
        """What each model is, exactly, by its name."""
        self.codes: dict[str, dict[str, None]] = {}
        """Digests of the code of each actor, in the order in which they came."""
        self._inherited: dict[str, dict[str, None]] = {}

    def evolve(self, event: Event) -> None:
        """Take one event in."""
        is_own = event.run == self.run
        if not is_own and not self._past.has(event):
            return
        try:
            match event.type:
                case "run.started" if is_own:
                    self.settings = {name: value for name, value in data_of(event).items() if name not in OWN}
                case "model.used":
                    data = data_of(event)
                    name = optional_text(data, "label") or optional_text(data, "model") or "model"
                    self.models[name] = optional_text(data, "identity") or name
                case "delivery.handled":
                    code = optional_text(data_of(event), "code")
                    codes = (self.codes if is_own else self._inherited).setdefault(event.actor or "", {})
                    if code is not None and len(codes) < MOST_CODES:
                        codes[code] = None
                case _:
                    pass
        except OddData:
            return

    def all_codes(self) -> dict[str, list[str]]:
        """Whose code has worked for the run, or for the past that it shares."""
        return {name: list(codes) for name, codes in {**self._inherited, **self.codes}.items()}


def compare_settings(first: Specification, second: Specification) -> list[dict[str, Any]]:
    """What was set in one way for one run and in another for the other, or for one of them only."""
    kin = {"origin"} if origin_of(first, second) is not None else set[str]()  # that is said elsewhere
    settings = [{name: value for name, value in each.settings.items() if name not in kin} for each in (first, second)]
    return [
        *_differing("", settings[0], settings[1]),
        *_differing("model ", first.models, second.models),
        *_differing("code of ", first.all_codes(), second.all_codes()),
    ]


def _differing(prefix: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": f"{prefix}{name}", "first": first.get(name), "second": second.get(name)}
        for name in dict.fromkeys([*first, *second])
        if first.get(name) != second.get(name)
    ]


def origin_of(first: Specification, second: Specification) -> dict[str, Any] | None:
    """Which of them is a fork of the other, and from where; None when neither is."""
    for fork, other, which in ((second, first, "second"), (first, second, "first")):
        if fork.forked is not None and fork.forked.get("origin") == other.run:
            return {"fork": which, **{name: value for name, value in fork.forked.items() if name not in OWN}}
    return None

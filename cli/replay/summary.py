"""How the memory stands after each event of a run: what the run has put there, read, computed and spared."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, cast

COUNTED = {
    "delivery.handled": "handled", "delivery.retried": "retried", "delivery.parked": "parked",
    "note.missed": "missed", "note.expired": "expired", "note.forgotten": "forgotten",
}  # fmt: skip
TAKEN = frozenset({"note.read", "note.written", "work.claimed", "work.computed", "work.failed", "work.reused"})
FIGURES = (
    "notes", "bytes", "read", "missed", "expired", "forgotten", "computing", "computed", "failed", "found", "joined",
    "calls", "tokens", "cost_usd", "handled", "retried", "parked",
)  # fmt: skip


class Summary:
    """Folds a run's events, in the same room for any number of them. What does not fit its type counts for nothing."""

    def __init__(self) -> None:
        self.figures: dict[str, Any] = dict.fromkeys(FIGURES, 0)
        self.figures["cost_usd"] = "0"
        self._computing: set[str] = set()
        self._cost = Decimal(0)

    def evolve(self, kind: str, data: Any) -> bool:
        """Take one event in; whether it has changed a figure."""
        figures = self.figures
        counted = COUNTED.get(kind)
        if counted is not None:
            figures[counted] += 1
            return True
        if kind not in TAKEN or not isinstance(data, dict):
            return False
        told = cast("dict[str, Any]", data)
        try:
            match kind:
                case "note.read":
                    figures["read"] += int(told["count"])
                case "note.written":
                    figures["notes"] += 1
                    figures["bytes"] += int(told["size"])
                case "work.claimed":
                    self._computing.add(str(told["key"]))
                case "work.computed":
                    self._computing.discard(str(told["key"]))
                    figures["computed"] += 1
                    if "model" in told:
                        self._called(told)
                case "work.failed":
                    self._computing.discard(str(told["key"]))
                    figures["failed"] += 1
                case "work.reused":
                    self._computing.discard(str(told["key"]))  # of one that died: another has computed it
                    figures["found" if told["how"] == "found" else "joined"] += 1
                case _:
                    return False
        except (KeyError, TypeError, ValueError):
            return False
        figures["computing"] = len(self._computing)
        return True

    def _called(self, told: dict[str, Any]) -> None:
        self.figures["calls"] += int(told["calls"])
        self.figures["tokens"] += int(told["input_tokens"]) + int(told["output_tokens"])
        try:
            self._cost += Decimal(str(told.get("cost_usd") or 0))
        except InvalidOperation:
            return
        self.figures["cost_usd"] = f"{self._cost.normalize():f}"

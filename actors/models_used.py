"""Which models were asked: told to the log once a run, so that keys of answers can be told without the models."""

from __future__ import annotations

import orjson

from .models import Model
from .scope import Scope

MAX_TOLD = 1000


class ModelsUsed:
    """What this process has told."""

    def __init__(self) -> None:
        self._told: set[tuple[str | None, str, str]] = set()

    def tell(self, scope: Scope, model: Model) -> None:
        """Let the next call of that scope tell of the model, unless one of its run has. What belongs to no run is
        replayed by nobody."""
        known = (scope.reader.run, model.name, model.identity)
        if scope.reader.run is None or known in self._told:
            return
        if len(self._told) >= MAX_TOLD:
            self._told.clear()
        self._told.add(known)
        body = orjson.dumps({"model": model.name, "label": model.label, "identity": model.identity})
        scope.pending.append(scope.reader.event("model.used", f"model/{model.name}", body))

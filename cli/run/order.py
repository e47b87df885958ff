"""What the user has ordered: the options of `roost run`, checked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

from roost.actors.documents import Source
from roost.actors.models import Model, ModelNotConfigured, Usage, model_from_name
from roost.streams import Settings

Mode = Literal["shared", "cache", "isolated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A run to be made. `sources` are the documents; `spool` is where copies of them may be kept meanwhile."""

    settings: Settings
    sources: tuple[Source, ...]
    questions: tuple[str, ...]
    model: str
    spool: Path
    latency: timedelta = timedelta(0)
    agents: int = 8
    processes: int = 1
    mode: Mode = "shared"
    max_calls: int | None = None
    max_cost_usd: Decimal | None = None
    allow_private: bool = False

    def make_model(self) -> Model:
        """The model, or why it cannot be used. Raises UnknownModel, ModelNotConfigured."""
        model = model_from_name(self.model, latency=self.latency or None)
        if self.max_cost_usd is not None and model.cost(Usage(1000, 1000, 0)) is None:
            raise ModelNotConfigured(f"--max-cost needs a known price, and none is known for {self.model}")
        return model

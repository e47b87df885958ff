"""What the user has ordered: the options of `roost run`, checked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from pydantic import TypeAdapter

from roost.actors.documents import Source
from roost.actors.memory import Sharing
from roost.actors.models import Model, ModelNotConfigured, Usage, model_from_name
from roost.actors.report import Mode, RunStarted
from roost.streams import Settings

SPEC = TypeAdapter(RunStarted)
SPEC_FILE = "run.json"
RUN_LOST = (
    "the server has lost the run: its log was emptied, or its last second was not on disk when it died; "
    "start the run again"
)


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
    prices: str | None = None
    verbose: int = 0

    def make_model(self) -> Model:
        """The model, or why it cannot be used. Raises UnknownModel, ModelNotConfigured."""
        model = model_from_name(self.model, latency=self.latency or None, prices=self.prices)
        if self.max_cost_usd is not None and model.cost(Usage(1000, 1000, 0)) is None:
            raise ModelNotConfigured(
                f"--max-cost needs a known price, and none is known for {self.model}: give one with --prices"
            )
        return model


def order_of(spec: RunStarted, settings: Settings, spool: Path, verbose: int) -> Order:
    """What a run was ordered as, by its specification: its documents are named in the log."""
    return Order(
        settings=settings,
        sources=(),
        questions=spec.questions,
        model=spec.model,
        spool=spool,
        latency=timedelta(milliseconds=spec.latency_ms),
        agents=spec.agents,
        processes=spec.processes,
        mode=spec.mode,
        max_calls=spec.max_calls,
        max_cost_usd=None if spec.max_cost_usd is None else Decimal(spec.max_cost_usd),
        allow_private=spec.allow_private,
        prices=spec.prices,
        verbose=verbose,
    )


def sharing_of(mode: Mode) -> Sharing:
    """How a run of that mode asks its memory; runs that are isolated share it among their own agents."""
    return "cache" if mode == "cache" else "once"


def write_spec(spool: Path, spec: RunStarted) -> None:
    """Leave a run's specification where the processes that work for it find it: in the log it may be far back."""
    (spool / SPEC_FILE).write_bytes(SPEC.dump_json(spec))


def read_spec(spool: Path) -> RunStarted:
    return SPEC.validate_json((spool / SPEC_FILE).read_bytes())

"""The flock that a handler has while its delivery is done again."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from roost.streams import Note

from ..completion import Ask, key_for, open_inputs
from ..memory import COMPUTE_LIMIT
from ..models import Completion, Model, Request, Usage
from .replayed_memory import ReplayedMemory

if TYPE_CHECKING:
    from .stage import Stage


class RecordedModel:
    """A model as the log tells of it: it has a name, and answers nothing."""

    def __init__(self, name: str, label: str, identity: str) -> None:
        self.name = name
        self.label = label
        self.identity = identity

    def cost(self, usage: Usage) -> None:
        """Nobody knows."""
        return

    async def complete(self, request: Request) -> Completion:
        """Never called: no computation is."""
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing to close."""


class ReplayedFlock:
    """As much of Flock as a context and shared functions use; anything else raises NotRecorded."""

    def __init__(self, name: str, stage: Stage) -> None:
        self.name = name
        self._stage = stage
        self.shard = stage.shard
        self.memory = ReplayedMemory(stage)
        self.turnstile: Any = None
        """For calls of models, of which none is made."""

    @property
    def model(self) -> Model:
        """The one that the run asked first."""
        for name, listed in self._stage.recording.models.items():
            return RecordedModel(name, *listed[0])
        raise self._stage.unanswered("a model")

    async def complete(
        self, ask: Ask | str, *notes: Note | str, model: Model | None = None, limit: timedelta = COMPUTE_LIMIT
    ) -> Note:
        """As Flock's: the answer that was given then."""
        asked = Ask(instructions=ask) if isinstance(ask, str) else ask
        _, request = await open_inputs(self.memory, asked, notes)
        asking = model or self.model
        keys = [key_for(identity, request, asked.sample) for identity in self._identities(asking, model is None)]
        key = next((each for each in keys if self._stage.answers.has(("once", each))), keys[0])
        return await self.memory.once(key, _never, label=asked.label_for(asking.label))

    def _identities(self, model: Model, is_the_flocks: bool) -> list[str]:
        """What may stand for the model in keys: the processes of a run may have had different ones."""
        recorded = self._stage.recording.models
        listed = [identity for _, identity in recorded.get(model.name, ())]
        others = [identity for rows in recorded.values() for _, identity in rows] if is_the_flocks else []
        return list(dict.fromkeys([model.identity, *listed, *others]))

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise self._stage.unanswered(f"flock.{name}")


async def _never() -> NoReturn:
    """What would compute: in a replay nothing is."""
    raise NotImplementedError

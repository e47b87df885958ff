"""From a model's name to the model."""

from __future__ import annotations

from datetime import timedelta

from .errors import ModelNotConfigured, UnknownModel
from .model import Model
from .offline import OfflineModel
from .prices import PriceSource

OFFLINE = "offline"
OPENAI = "openai/"


def model_from_name(
    name: str = OFFLINE, *, latency: timedelta | None = None, prices: PriceSource | None = None
) -> Model:
    """`offline`, or `openai/<name>` on any server that speaks OpenAI's chat completions (`OPENAI_BASE_URL`).

    `latency` is simulated, for `offline` only. `prices` are the user's own (see `PriceTable`), before the known ones.
    A model that is chosen but cannot be used raises here: `UnknownModel` or `ModelNotConfigured`.
    """
    if name == OFFLINE:
        return OfflineModel(latency=latency)
    if name.startswith(OPENAI) and name.removeprefix(OPENAI).strip() and name.isprintable():
        if latency:
            raise ModelNotConfigured(f"a latency is simulated for offline only, {name} has its own: leave it out")
        from .openai_client import OpenAIModel  # openai takes a third of a second to import

        return OpenAIModel(name.removeprefix(OPENAI).strip(), prices=prices)
    raise UnknownModel(f"there is no model {name!r}: use offline, or openai/<name> such as openai/gpt-5-mini")

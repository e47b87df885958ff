"""Permits: what the whole fleet may ask of a model at once and in a minute, counted where all of it meets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Self, cast

from .errors import SettingsError
from .shard import Shard

MINUTE = timedelta(minutes=1)
AGENT = "@"
"""Before an agent's name, where names of models stand: its own calls, whichever models they ask."""
ANYONE = "anyone"
"""Who acts without a name."""
Why = Literal["pause", "concurrent", "requests", "tokens"]


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """What all processes of a flock together may ask of a model: calls at once, and requests and tokens a minute; None
    is any number. `window` is what counts as a minute."""

    concurrent: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    window: timedelta = MINUTE

    def __post_init__(self) -> None:
        for name in ("concurrent", "requests_per_minute", "tokens_per_minute"):
            value: object = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise SettingsError(f"a model's limit {name} is a whole number from 1 on, or None: not {value!r}")
        if self.window < timedelta(milliseconds=100):
            raise SettingsError("the window of a model's limits has 100 milliseconds at least")

    def to_text(self) -> str:
        """As the scripts take it."""
        numbers = (self.concurrent, self.requests_per_minute, self.tokens_per_minute)
        words = ["-" if number is None else str(number) for number in numbers]
        return " ".join([*words, str(round(self.window.total_seconds() * 1000))])

    @classmethod
    def from_text(cls, text: str) -> Self:
        words, window_ms = text.split()[:3], int(text.split()[3])
        concurrent, requests, tokens = (None if word == "-" else int(word) for word in words)
        return cls(concurrent, requests, tokens, timedelta(milliseconds=window_ms))


NO_LIMITS = ModelLimits()


@dataclass(frozen=True, slots=True)
class Hold:
    """No permit now: for how long to wait before asking again, and why."""

    ms: int
    why: Why


class Permits:
    """A shard's permits to call models. Those who call are counted by the server's clock."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    def limits(self) -> dict[str, ModelLimits]:
        """The models that have limits, as this process has last seen it."""
        limits = self._shard.limits.items()
        return {model: ModelLimits.from_text(text) for model, text in limits if not model.startswith(AGENT)}

    def guards(self, model: str) -> bool:
        """Whether calls of that model, or of an agent as `@agent`, need a permit."""
        if not model.startswith(AGENT):
            return model in self._shard.limits
        limits = self._shard.limits.get(model) or self._shard.limits.get(f"{AGENT}*")
        return limits is not None and not limits.startswith("- - - ")

    async def limit(self, model: str, limits: ModelLimits | None) -> None:
        """Set a model's limits for the whole flock, or take them away. Raises SettingsError."""
        if model.startswith(AGENT):
            raise SettingsError(f"{model!r} names no model: agents have limits of their own")
        await self._set(model, "" if limits is None else limits.to_text())

    async def _set(self, model: str, text: str, *, only_new: bool = False) -> None:
        await self._shard.run("limit", model, text, int(only_new))
        await self._shard.open()

    async def take(self, model: str, permit: str, tokens: int, lease: timedelta) -> Hold | None:
        """Take a permit under that ID, for a call that may take so many tokens; or what is in its way."""
        answer = await self._shard.run("permit", model, permit, tokens, _ms(lease))
        if answer[0] == b"ok":
            return None
        return Hold(int(answer[1]), cast("Why", answer[2].decode()))

    async def give_back(self, model: str, permit: str, tokens: int | None, pause: timedelta | None = None) -> None:
        """The call has ended. `tokens` are what it took, where that is known; `pause` is for how long the provider
        wants to be left alone: by all of the flock."""
        if pause is not None and not self.guards(model):  # from now on calls of this model are asked for
            await self._set(model, NO_LIMITS.to_text(), only_new=True)
        paused_ms = 0 if pause is None else max(1, _ms(pause))
        await self._shard.run("permit_return", model, permit, "" if tokens is None else tokens, paused_ms)

    async def renew(self, permits: Sequence[tuple[str, str]], lease: timedelta) -> None:
        """Calls, as model and permit, go on."""
        if permits:
            await self._shard.run("permit_renew", _ms(lease), *[word for permit in permits for word in permit])

    async def at_once(self, model: str) -> int:
        """How many permits there are, with those of processes that have just died."""
        return int(await self._shard.command("ZCARD", self._shard.keys.key("permits", model)))

    async def calls(self, model: str, window: timedelta) -> int:
        """How many calls there were in the last window, where they are counted."""
        now, _ = await self._shard.command("TIME")
        since = int(now) * 1000 - _ms(window)
        return int(await self._shard.command("ZCOUNT", self._shard.keys.key("calls", model), since, "+inf"))


def _ms(span: timedelta) -> int:
    return round(span.total_seconds() * 1000)

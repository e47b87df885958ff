"""What a caller has chosen: whether to share, which sample, for how long. By the client's options or by headers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal, cast

import httpx2

from roost.actors.memory import FLOCK_DEFAULT, Ttl
from roost.streams import SettingsError

PREFIX = "roost-"
"""Headers that begin so are for Roost, and never sent to a provider."""

SWITCH = {"on": True, "true": True, "1": True, "yes": True, "off": False, "false": False, "0": False, "no": False}
MAX_SAMPLE = 2**31

Unavailable = Literal["call", "raise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """Choices for a call. `share` None is the default rule: what depends on its own words alone is shared.

    Raises SettingsError for a choice that cannot be.
    """

    share: bool | None = None
    sample: int = 0
    fresh: bool = False
    ttl: Ttl = FLOCK_DEFAULT
    unavailable: Unavailable = "call"

    def __post_init__(self) -> None:
        given = cast("Any", self)  # not all programs are type-checked
        if given.share not in (None, True, False):
            raise SettingsError(f"share is True, False, or None for the default rule: not {given.share!r}")
        if not isinstance(given.sample, int) or isinstance(given.sample, bool) or not 0 <= given.sample < MAX_SAMPLE:
            raise SettingsError(f"sample is a whole number from 0 on: not {given.sample!r}")
        if not isinstance(given.fresh, bool):
            raise SettingsError(f"fresh is True or False: not {given.fresh!r}")
        if isinstance(given.ttl, timedelta) and given.ttl <= timedelta(0):
            raise SettingsError("an answer's time to live (ttl) must be positive; None keeps it for ever")
        if given.ttl is not None and given.ttl is not FLOCK_DEFAULT and not isinstance(given.ttl, timedelta):
            raise SettingsError(f"ttl is a timedelta, like timedelta(days=1), or None: not {given.ttl!r}")
        if given.unavailable not in ("call", "raise"):
            raise SettingsError(f'unavailable is "call" or "raise": not {given.unavailable!r}')

    def take_from(self, headers: httpx2.Headers) -> Sharing:
        """These choices, changed by the headers that are for Roost; takes those headers out."""
        told = {name: value for name, value in headers.items() if name.lower().startswith(PREFIX)}
        chosen = self
        for name, value in told.items():
            chosen = _change(chosen, name.lower().removeprefix(PREFIX), value.strip())
            del headers[name]
        return chosen


def _change(chosen: Sharing, name: str, value: str) -> Sharing:
    match name:
        case "share":
            return replace(chosen, share=_switch(name, value))
        case "fresh":
            return replace(chosen, fresh=_switch(name, value))
        case "sample":
            if not (value.isascii() and value.isdigit()):
                raise SettingsError(f"the header Roost-Sample is a whole number from 0 on: not {value!r}")
            return replace(chosen, sample=int(value))
        case "ttl":
            try:
                return replace(chosen, ttl=timedelta(seconds=float(value)))
            except (ValueError, OverflowError):
                raise SettingsError(f"the header Roost-TTL is a number of seconds: not {value!r}") from None
        case _:
            raise SettingsError(
                f"there is no header Roost-{name.title()}: use Roost-Share, Roost-Sample, Roost-Fresh or Roost-TTL"
            )


def _switch(name: str, value: str) -> bool:
    found = SWITCH.get(value.lower())
    if found is None:
        raise SettingsError(f"the header Roost-{name.title()} is on or off: not {value!r}")
    return found

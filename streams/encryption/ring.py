"""The key ring: where keys of contents are, outside of the log. A small protocol, so that a key service may be one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

ID_BYTES, SECRET_BYTES = 8, 32


@dataclass(frozen=True, slots=True)
class SubjectKey:
    """The present key of a name: `id` has 8 bytes and is no secret, `secret` has 32. `destroyed` are the IDs of those
    of its keys that were destroyed."""

    id: bytes
    secret: bytes = field(repr=False)
    destroyed: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class NoKey:
    """A name has no key now. Those with the IDs in `destroyed` were."""

    destroyed: tuple[bytes, ...] = ()


class KeyRing(Protocol):
    """Keeps keys by vault and name: both are text of hexadecimal digits, but for the one name `names`.

    What is answered must be so at once for all who ask: nobody may be given a key, or keep one, once `destroy` has
    returned. What cannot be reached raises ServerUnavailable; what may not be used, SettingsError.
    """

    async def find(self, vault: str, name: str) -> SubjectKey | NoKey:
        """The key of that name, if it has one."""
        ...

    async def make(self, vault: str, name: str, key: SubjectKey | None = None) -> SubjectKey:
        """The key of that name; where it has none a new one, or `key`. It is kept safely when this returns."""
        ...

    async def destroy(self, vault: str, name: str) -> bool:
        """Make the key of that name unreadable for ever, and remember its ID; False if it has none."""
        ...

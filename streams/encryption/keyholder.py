"""The keyholder: what a process opens sealed contents with, of whatever flock they are."""

from __future__ import annotations

from functools import cache

import structlog

from ..errors import SettingsError, SubjectForgotten
from .choosing import choose_ring
from .ring import KeyRing
from .sealed import Head
from .vault import Vault


class Keyholder:
    """Opens what is sealed with the keys of one ring. The ring is looked for when it is first needed."""

    def __init__(self, place: str, ring: KeyRing | None = None) -> None:
        self.place = place
        self._ring = ring
        self._vaults: dict[str, Vault] = {}

    @property
    def ring(self) -> KeyRing:
        """Raises SettingsError."""
        if self._ring is None:
            self._ring = choose_ring(self.place)
        return self._ring

    def vault(self, ident: str) -> Vault:
        """A flock's vault, by its ID. That its keys are here is not yet known."""
        if ident not in self._vaults:
            self._vaults[ident] = Vault(ident, self.ring, self.place)
        return self._vaults[ident]

    async def make_vault(self) -> Vault:
        """A vault for a new flock."""
        vault = await Vault.make(self.ring, self.place)
        self._vaults[vault.id] = vault
        return vault

    async def open(self, stored: bytes) -> bytes:
        """Content, as it was before it was sealed; what is not sealed as it is. Raises SubjectForgotten, SettingsError
        where its keys are not, ValueError for what was changed."""
        head = Head.of(stored)
        return stored if head is None else await self.vault(head.vault).open(stored, head)

    async def opened(self, stored: bytes) -> bytes | None:
        """As `open`; None for what nobody can read any more, since it was forgotten or changed."""
        try:
            return await self.open(stored)
        except SubjectForgotten:
            return None
        except ValueError as error:  # whoever looks at many contents goes on with the others
            log.warning("a sealed content cannot be opened: `roost verify --content` looks closer", error=str(error))
            return None


log = structlog.get_logger(__name__)
_chosen: list[str] = []


def use_keys(place: str) -> None:
    """Let that be where this process looks for keys, unless a flock is opened with others."""
    _chosen[:] = [place]


def keyholder() -> Keyholder:
    """With the keys that are this process's by its settings."""
    if not _chosen:
        from ..settings import Settings

        _chosen.append(Settings.read().key_place)
    return keyholder_of(_chosen[0])


@cache
def keyholder_of(place: str) -> Keyholder:
    """With the keys at a place: see `choose_ring`. One a place and process."""
    if not place:
        raise SettingsError("no place for keys is named (ROOST_KEYS)")
    return Keyholder(place)

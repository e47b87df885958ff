"""The vault: the keys of one flock, and what is done with them. Each flock that is encrypted has one of its own."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import ParamSpec, TypeVar

from ..errors import LimitExceeded, SettingsError, SubjectForgotten
from .ring import ID_BYTES, SECRET_BYTES, KeyRing, NoKey, SubjectKey
from .sealed import MAX_ABOUT, NAME_BYTES, VAULT_BYTES, Head, Ref, check_cipher, seal, unseal

P = ParamSpec("P")
R = TypeVar("R")

NAMES = "names"
"""The name of the key that makes names of subjects: who has no key of the vault learns of nobody that he is in it."""
NOBODY = ""
"""Whom a content is about that is about nobody: the flock's own key."""
MAX_SUBJECT_BYTES = 512
LARGE = 1024 * 1024
"""Bytes from which on contents are encrypted in a thread."""


class Vault:
    """Seals contents, and opens them as long as the keys of all whom they are about are there."""

    def __init__(self, ident: str, ring: KeyRing, place: str) -> None:
        self.id = ident
        self._ring = ring
        self._place = place
        self._names_key: bytes | None = None

    @classmethod
    async def make(cls, ring: KeyRing, place: str) -> Vault:
        """A new vault. Its ID is made of its names' key, so that another ring is not taken for this vault's."""
        check_cipher()
        key = SubjectKey(secrets.token_bytes(ID_BYTES), secrets.token_bytes(SECRET_BYTES))
        vault = cls(_ident_of(key), ring, place)
        await ring.make(vault.id, NAMES, key)
        return vault

    async def check(self) -> bytes:
        """The key of names. Raises SettingsError where the keys of this vault are not."""
        if self._names_key is None:
            found = await self._ring.find(self.id, NAMES)
            if isinstance(found, NoKey) or _ident_of(found) != self.id:
                raise SettingsError(
                    f"the keys of vault {self.id} are not in {self._place}: name the directory that all processes of "
                    "the flock share (ROOST_KEYS)"
                )
            self._names_key = found.secret
        return self._names_key

    async def name_of(self, subject: str) -> bytes:
        """The name that stands for a subject wherever it is kept. Raises LimitExceeded."""
        if len(subject.encode()) > MAX_SUBJECT_BYTES:
            raise LimitExceeded(f"whom a note is about is told in up to {MAX_SUBJECT_BYTES} bytes: use an ID of it")
        return hmac.digest(await self.check(), subject.encode(), "sha256")[:NAME_BYTES]

    async def refs_of(self, subjects: Iterable[str]) -> list[Ref]:
        """The present keys of these subjects, made where there are none yet."""
        refs: list[Ref] = []
        for subject in subjects:
            name = await self.name_of(subject)
            refs.append(Ref(name, (await self._ring.make(self.id, name.hex())).id))
        return refs

    async def seal(self, raw: bytes, refs: Iterable[Ref]) -> tuple[bytes, tuple[str, ...]]:
        """Content as it is stored, and the keys that it is stored under, in their order; the flock's own where there
        are none. Raises LimitExceeded past 256 of them, SubjectForgotten when one is destroyed."""
        ordered = sorted(set(refs)) or await self.refs_of([NOBODY])
        if len(ordered) > MAX_ABOUT:
            raise LimitExceeded(
                f"a note is about up to {MAX_ABOUT} subjects, and what this one was made from is about "
                f"{len(ordered)}: name fewer sources"
            )
        keys = [(ref, await self._secret_of(ref)) for ref in ordered]
        return await _aside(len(raw), seal, raw, self.id, keys), tuple(str(ref) for ref in ordered)

    async def open(self, stored: bytes, head: Head) -> bytes:
        """The content. Raises SubjectForgotten when one of its keys is destroyed, SettingsError when they are not
        here, ValueError when it was changed."""
        keys = [await self._secret_of(ref) for ref in head.refs]
        return await _aside(len(stored), unseal, stored, head, keys)

    async def destroy(self, name: bytes) -> bool:
        """Destroy a subject's key; False if it has none now."""
        return await self._ring.destroy(self.id, name.hex())

    async def destroyed(self, name: bytes) -> frozenset[bytes]:
        """The IDs of a name's keys that were destroyed."""
        return frozenset((await self._ring.find(self.id, name.hex())).destroyed)

    async def _secret_of(self, ref: Ref) -> bytes:
        key = await self._ring.find(self.id, ref.name.hex())
        if isinstance(key, SubjectKey) and key.id == ref.key:
            return key.secret
        if ref.key in key.destroyed:
            raise SubjectForgotten
        # Not forgotten as far as we can tell: a ring that is not everybody's must not make others lose what they have.
        await self.check()
        raise SettingsError(
            f"the key {ref} is not in {self._place}, and was not destroyed there either: name the directory that all "
            "processes of the flock share (ROOST_KEYS)"
        )


def _ident_of(names: SubjectKey) -> str:
    return sha256(b"roost vault" + names.id + names.secret).digest()[:VAULT_BYTES].hex()


async def _aside(size: int, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """In a thread if it takes long enough to keep others waiting."""
    if size < LARGE:
        return function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)

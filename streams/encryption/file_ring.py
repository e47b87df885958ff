"""A key ring in files: one for each name, in a directory of its vault, that only their owner can read."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ..errors import SettingsError
from .ring import ID_BYTES, SECRET_BYTES, NoKey, SubjectKey

MAX_KEPT = 10_000
"""Keys that a process remembers. Each is looked at again before it is used: another process may have destroyed it."""
MAX_FILE_BYTES = 64 * 1024
MAGIC = b"roost-key-1\n"
NO_ID, NO_SECRET = bytes(ID_BYTES), bytes(SECRET_BYTES)
PATIENCE_S, PAUSE_S = 30.0, 0.01
"""For who is at the keys of the vault, and between looks whether it still is."""

Seen = tuple[int, int, int]


class FileRing:
    """As KeyRing. A file is what it begins with, an ID and a key (zeros: none), then the IDs of destroyed ones. An ID
    with zeros for its key was destroyed as well. What waits or writes does so in a thread."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._kept: OrderedDict[Path, tuple[Seen, SubjectKey | NoKey]] = OrderedDict()

    async def find(self, vault: str, name: str) -> SubjectKey | NoKey:
        path = self._path(vault, name)
        with _said(self.place):
            try:
                found = os.stat(path)
            except FileNotFoundError:
                return NoKey()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            kept = self._kept.get(path)
            if kept is not None and kept[0] == seen:
                return kept[1]
            key = _read(path)
        self._kept[path] = seen, key
        self._kept.move_to_end(path)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return key

    async def make(self, vault: str, name: str, key: SubjectKey | None = None) -> SubjectKey:
        found = await self.find(vault, name)
        if isinstance(found, SubjectKey):
            return found
        return await asyncio.to_thread(self._make, self._path(vault, name), key)

    async def destroy(self, vault: str, name: str) -> bool:
        return await asyncio.to_thread(self._destroy, self._path(vault, name))

    def _make(self, path: Path, key: SubjectKey | None) -> SubjectKey:
        with _said(self.place), self._locked(path.parent):
            present = _read(path) if path.exists() else NoKey()  # another process may have been first
            if isinstance(present, SubjectKey):
                return present
            made = key or SubjectKey(secrets.token_bytes(ID_BYTES), secrets.token_bytes(SECRET_BYTES))
            made = SubjectKey(made.id, made.secret, present.destroyed)
            _write(path, made)
            return made

    def _destroy(self, path: Path) -> bool:
        with _said(self.place):
            if not path.exists():
                return False
            with self._locked(path.parent):
                present = _read(path)
                if isinstance(present, NoKey):
                    return False
                # 1. The secret's own bytes, where they are: a file system may keep what a rename has replaced. Its ID
                #    stays: a file that has that and no secret tells what was destroyed, should we be killed here.
                with path.open("r+b") as file:
                    file.seek(len(MAGIC) + ID_BYTES)
                    file.write(NO_SECRET)
                    file.flush()
                    os.fsync(file.fileno())
                # 2. Then the file as it is to be.
                _write(path, NoKey((*present.destroyed, present.id)))
                return True

    def _path(self, vault: str, name: str) -> Path:
        if not vault.isalnum() or not name.isalnum():
            raise SettingsError(f"{vault[:40]!r}/{name[:40]!r} cannot name a key")
        return self.place / vault / name

    @contextmanager
    def _locked(self, folder: Path) -> Generator[None]:
        """Alone with the keys of a vault, among all processes."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            until = time.monotonic() + PATIENCE_S
            while not _takes(lock):
                if time.monotonic() > until:
                    raise SettingsError(
                        f"another process has been at the keys in {folder} for {PATIENCE_S:.0f} s: end it"
                    )
                time.sleep(PAUSE_S)  # in a thread
            yield
        finally:
            os.close(lock)


def _takes(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> SubjectKey | NoKey:
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    body, least = content[len(MAGIC) :], ID_BYTES + SECRET_BYTES
    if not content.startswith(MAGIC) or len(body) % ID_BYTES or not least <= len(body) <= MAX_FILE_BYTES:
        raise SettingsError(f"{path} holds no key of Roost: put the file back from a copy, or name its directory anew")
    key_id, secret, ids = body[:ID_BYTES], body[ID_BYTES:least], body[least:]
    destroyed = tuple(ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES))
    if secret != NO_SECRET:
        return SubjectKey(key_id, secret, destroyed)
    return NoKey(destroyed if key_id == NO_ID else (*destroyed, key_id))


def _write(path: Path, key: SubjectKey | NoKey) -> None:
    """All of it or nothing, safe on its disk when this returns: what is encrypted with a key that was lost is lost."""
    present = key.id + key.secret if isinstance(key, SubjectKey) else NO_ID + NO_SECRET
    new = path.with_name(f".{path.name}.new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(MAGIC + present + b"".join(key.destroyed))
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _said(place: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"the keys in {place} cannot be used ({(error.strerror or str(error)).lower()}): see that this user can "
            "write there, or name another directory (ROOST_KEYS)"
        ) from error

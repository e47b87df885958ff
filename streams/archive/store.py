"""The store of an archive: a directory, or a place in an object store, by the library obstore."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import RoostError, SettingsError

RETRIES: Any = {"max_retries": 6, "retry_timeout": timedelta(minutes=1)}
"""With a remote store. Its timeouts are the library's (options given here would hide those of the environment)."""

REMOTE = ("s3", "s3a", "gs", "az", "abfs", "abfss")


class ArchiveUnusable(RoostError):
    """The archive's place cannot be read or written."""


class NotInArchive(ArchiveUnusable):
    """A file is not in the archive."""


class Store:
    """Files by their paths, in one place. Paths are relative, with slashes. A file is there whole or not at all.

    The library is asked in threads: threads of its own, which its asynchronous calls need, may still be about to hand
    something to Python when that ends, and the process is aborted then.
    """

    def __init__(self, place: str, *, make: bool = True) -> None:
        """`place` is a directory (made if need be, and if `make`; ArchiveUnusable otherwise), or a URL such as
        s3://bucket/prefix. Credentials are found by the library where its field keeps them, such as AWS_ACCESS_KEY_ID;
        none stand in `place`. Raises SettingsError."""
        self.place = place_of(place)
        self.directory: Path | None = None
        try:
            import obstore
            from obstore import store
        except ImportError as error:
            raise SettingsError("archives need the extra `archive`: pip install 'roost[archive]'") from error
        self._library: Any = obstore
        try:
            if "://" in self.place:
                self._store: Any = store.from_url(self.place, retry_config=RETRIES)
            else:
                self.directory = Path(self.place)
                if not make and not self.directory.is_dir():
                    raise ArchiveUnusable(f"archive {self.place} is not there: put it back, or mount its disk")
                self.directory.mkdir(parents=True, exist_ok=True)
                self._store = store.LocalStore(self.place)
        except ArchiveUnusable:
            raise
        except OSError as error:
            raise SettingsError(f"archive {self.place} cannot be made: {error.strerror}") from error
        except Exception as error:  # the library's own errors have no common root
            raise SettingsError(f"archive {self.place} cannot be used: {_first_line(error)}") from error

    async def get(self, path: str) -> bytes:
        """A file's content. Raises NotInArchive, ArchiveUnusable."""
        try:
            return await asyncio.to_thread(lambda: bytes(self._library.get(self._store, path).bytes()))
        except FileNotFoundError:
            raise NotInArchive(f"{path} is not in the archive {self.place}") from None
        except Exception as error:
            raise self._failed(f"{path} cannot be read", error) from error

    async def has(self, path: str) -> bool:
        """Whether a file is there."""
        try:
            await asyncio.to_thread(self._library.head, self._store, path)
        except FileNotFoundError:
            return False
        except Exception as error:
            raise self._failed(f"{path} cannot be looked at", error) from error
        return True

    async def put(self, path: str, content: bytes) -> None:
        """Write a file; when this returns it is safe there. Raises ArchiveUnusable."""
        try:
            await asyncio.to_thread(self._library.put, self._store, path, content)
            if self.directory is not None:
                await asyncio.to_thread(_sync, self.directory / path, self.directory)
        except Exception as error:
            raise self._failed(f"{path} cannot be written", error) from error

    async def list(self, prefix: str) -> list[str]:
        """Paths of the files right under a prefix. Raises ArchiveUnusable."""
        try:
            found = await asyncio.to_thread(self._library.list_with_delimiter, self._store, prefix)
            return [str(each["path"]) for each in found["objects"]]
        except FileNotFoundError:
            return []
        except Exception as error:
            raise self._failed(f"{prefix} cannot be listed", error) from error

    async def delete(self, path: str) -> None:
        """Take a file away, if it is there. Raises ArchiveUnusable."""
        try:
            await asyncio.to_thread(self._library.delete, self._store, path)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._failed(f"{path} cannot be deleted", error) from error

    def _failed(self, what: str, error: Exception) -> ArchiveUnusable:
        return ArchiveUnusable(f"archive {self.place}: {what}: {_first_line(error)}")


def place_of(text: str) -> str:
    """A place as it is kept: a URL, or an absolute path. Raises SettingsError."""
    if "://" not in text:
        return str(Path(text).expanduser().absolute())
    parts = urlsplit(text)
    if parts.scheme == "file":
        return str(Path(parts.path))
    if parts.scheme not in REMOTE:
        raise SettingsError(
            f"an archive is a directory or a URL with one of {', '.join(REMOTE)}://, not {parts.scheme}://"
        )
    if parts.username or parts.password or parts.query:
        raise SettingsError("leave credentials out of the archive's URL: give them in the environment (AWS_…, …)")
    return text.rstrip("/")


def _sync(path: Path, top: Path) -> None:
    """The file, its name and new directories: what is trimmed after this must not depend on a disk's cache."""
    above = [parent for parent in path.parents if parent.is_relative_to(top)]
    for each in (path, *above):
        handle = os.open(each, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]

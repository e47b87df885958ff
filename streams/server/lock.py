"""The lock that says that a home's server lives."""

from __future__ import annotations

import os
from pathlib import Path

from roost.streams.errors import ServerUnavailable, SettingsError


def try_lock(path: Path) -> int | None:
    """An open descriptor that holds the lock, or None if another holds it. To let go of it: close the descriptor.

    flock(2) belongs to the open file, which a child process inherits: the lock is free when the last process that has
    the descriptor is gone, however it went.
    """
    return _try_lock(path, shared=False)


def is_locked(path: Path) -> bool:
    """Whether a server of that home lives. Makes no file."""
    if not path.exists():
        return False
    descriptor = _try_lock(path, shared=True)  # shared: two who only look must not take each other for the server
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def _try_lock(path: Path, *, shared: bool) -> int | None:
    try:
        import fcntl
    except ImportError:
        raise ServerUnavailable("Roost's own server does not run on Windows; set ROOST_URL to a server") from None
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(f"{path} cannot be opened ({error.strerror}); set ROOST_HOME to another place") from None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        os.close(descriptor)
        raise SettingsError(
            f"{path} cannot be locked ({error.strerror}); set ROOST_HOME to a directory on a local disk"
        ) from None
    return descriptor

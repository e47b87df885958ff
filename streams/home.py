"""The directory in which Roost keeps its own server's data: ~/.roost, or one that stands in for it."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .errors import SettingsError

_log = logging.getLogger("roost.home")
_said: set[Path] = set()


def default_home(environ: Mapping[str, str]) -> Path:
    """~/.roost of the user, made or not. Touches nothing."""
    return _user_directory(environ) / ".roost"


def settle_home(environ: Mapping[str, str]) -> Path:
    """~/.roost, made with mode 0700; if that cannot be, a directory of this user's own in the runtime directory.

    The stand-in does not survive a restart of the machine, so it is said, once a process. Raises SettingsError.
    """
    home = default_home(environ)
    problem = _try_directory(home)
    if problem is None or _holds_memory(home):
        return home  # a memory that is there is not left aside for an empty one, however full its disk may be
    stand_in = runtime_directory(environ)
    if stand_in not in _said:
        _said.add(stand_in)
        _log.warning(
            "%s cannot be used (%s): the memory is kept in %s and may be gone after a restart of the machine; "
            "set ROOST_HOME to keep it",
            home,
            problem,
            stand_in,
        )
    return stand_in


def prepare_home(home: Path) -> None:
    """Makes the directory, mode 0700. Raises SettingsError if it cannot be written, or could be written by others."""
    problem = _try_directory(home, parents=True)
    if problem is not None:
        raise SettingsError(f"{home} cannot be used ({problem}); set ROOST_HOME to a directory that can be written")
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode & 0o077 and not any(home.iterdir()):
        home.chmod(0o700)
    elif mode & 0o022:
        # Whoever can write there can put another socket in the server's place.
        raise SettingsError(f"{home} can be written by other users; run: chmod 700 {home}")


def runtime_directory(environ: Mapping[str, str]) -> Path:
    """A 0700 directory of this user under XDG_RUNTIME_DIR, else under the temporary one. Raises SettingsError."""
    candidates = [Path(tempfile.gettempdir()) / f"roost-{os.getuid()}"]
    given = environ.get("XDG_RUNTIME_DIR", "")
    if given.startswith("/"):
        candidates.insert(0, Path(given) / "roost")
    problems: list[str] = []
    for candidate in candidates:
        problem = _try_directory(candidate) or _find_stranger(candidate)
        if problem is None:
            return candidate
        problems.append(f"{candidate}: {problem}")
    raise SettingsError(f"no directory can be written ({'; '.join(problems)}); set ROOST_HOME to one")


def _user_directory(environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME", "")
    if home.startswith("/"):
        return Path(home)
    import pwd

    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return Path("/nonexistent")  # a container's user without an entry: the stand-in takes over


def _try_directory(path: Path, *, parents: bool = False) -> str | None:
    """Makes the directory if need be; answers why it cannot be written, or None."""
    try:
        path.mkdir(mode=0o700, parents=parents, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:  # access(2) says yes where a file system says no
            file.write(b"x")
        return None
    except OSError as error:
        return (error.strerror or type(error).__name__).lower()


def _holds_memory(path: Path) -> bool:
    try:
        return any(path.iterdir())
    except OSError:
        return False


def _find_stranger(path: Path) -> str | None:
    """In a directory that everybody may write, another user may have made ours before us."""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return "belongs to another user"
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o700)
    return None

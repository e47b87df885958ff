"""Secrets in files, as containers and key services hand them out: one line of text."""

from __future__ import annotations

import stat
from pathlib import Path

import structlog

from .errors import SettingsError

log = structlog.get_logger(__name__)
MOST_BYTES = 16 * 1024


def read_secret(path: str, name: str) -> str:
    """The secret in a file that the setting `name` names, without its line end. A file that others may read is told of,
    once a reading. Raises SettingsError for one that is missing, empty, too large or no single line of text."""
    file = Path(path)
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
            mode = stat.S_IMODE(file.stat().st_mode)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise SettingsError(f"{path}: no secret can be read there ({reason}); see {name}") from None
    if len(content) > MOST_BYTES:
        raise SettingsError(f"{path} is too large for a secret: it has one line of text ({name})")
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        text = ""
    if not text or not text.isprintable():
        raise SettingsError(f"{path} holds no secret: it is to have one line of text ({name})")
    if mode & 0o007:
        log.warning("a secret can be read by all users of this machine: chmod 600", file=path)
    return text

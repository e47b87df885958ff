"""What people see when a command fails: one line, without secrets, and an exit code."""

from __future__ import annotations

import os
import re
import sys
import traceback
from urllib.parse import unquote, urlsplit

import click

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130
BROKEN_PIPE = 141
"""As a program that SIGPIPE ends, so that `set -o pipefail` sees it; nobody is left to read a message."""

SHORTEST_SECRET = 4
KEY, LONG = 8, 20
"""Characters that a key has at least, and a word never has."""
_HIDDEN = "***"
_secrets: set[str] = set()
_USER_PART = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://)(\S*)@")  # to the last `@`: a password may hold one
_PARAMETER = re.compile(r"\b((?:ssl_)?password=)[^\s&'\"]+", re.IGNORECASE)
_KEY = re.compile(r"\b(Bearer\s+|sk-)(?=[^\s'\"]*\d)[A-Za-z0-9._~+/=-]{16,}", re.IGNORECASE)  # of a provider
_SECRET_NAME = re.compile(r"(API_KEY|ACCESS_KEY|SECRET_KEY|TOKEN|SECRET|PASSWORD)$")
_HEADERS_NAME = re.compile(r"^OTEL_EXPORTER_OTLP_([A-Z]+_)?HEADERS$")


def report_failure(error: Exception, *, debug: bool) -> int:
    """Write the line, after the traceback if asked for, to standard error; the exit code."""
    if isinstance(error, click.ClickException):
        tell(_usage_line(error) if isinstance(error, click.UsageError) else _first_lower(error.format_message()))
        return error.exit_code
    from roost.streams.errors import RoostError, SettingsError  # loads a good part of Roost: not for a mistyped option

    if debug:
        click.echo(safe("".join(traceback.format_exception(error)).rstrip()), err=True)
    if isinstance(error, RoostError):
        tell(str(error))
        return WRONG_USAGE if isinstance(error, SettingsError) else FAILED
    advice = "" if debug else "; run it again with --debug to see where"
    tell(f"unexpected {type(error).__name__}: {error}{advice}")
    return FAILED


def end_quietly() -> int:
    """Whoever read our output has gone. What is still buffered must not fail again when Python exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return BROKEN_PIPE


def tell(line: str) -> None:
    """A line of Roost's own, about what is wrong or what it does, on standard error."""
    try:
        click.echo(safe(f"roost: {_one_line(line)}"), err=True)
    except OSError:
        return  # nobody is left to read it; the work goes on


def safe(text: str) -> str:
    """`text` as a terminal may have it: without passwords, and with control characters escaped."""
    text = hide_secrets(text)
    if text.isascii() and text.isprintable():
        return text
    from roost.streams.printable import printable

    return printable(text)


def remember_secret(secret: str | None) -> None:
    """Never to be shown, alone or within other text. For what is too short to be told from common words: nothing."""
    if secret and len(secret) >= SHORTEST_SECRET:
        _secrets.add(secret)


def remember_secrets() -> None:
    """What the environment holds of secrets: keys and tokens by their variables' names, the password of the server,
    and the headers that a collector is sent."""
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name):
            if len(value) >= LONG or (len(value) >= KEY and any(map(str.isdigit, value))):
                remember_secret(value)  # no word, such as local servers are content with in the place of a key
        elif name == "ROOST_URL":
            try:
                remember_secret(unquote(urlsplit(value).password or ""))
            except ValueError:
                continue  # no address: that is said where it is used
        elif _HEADERS_NAME.search(name):
            for pair in value.split(","):
                said = unquote(pair.partition("=")[2]).strip()
                word = said.rpartition(" ")[2]  # behind `Basic` or `Bearer`
                if len(word) >= KEY:
                    remember_secret(word)


def hide_secrets(text: str) -> str:
    """`text` without the passwords of URLs, wherever they stand, and without what was remembered as secret."""
    text = _USER_PART.sub(_hide_user_part, text)
    text = _PARAMETER.sub(rf"\1{_HIDDEN}", text)
    text = _KEY.sub(rf"\1{_HIDDEN}", text)
    for secret in _secrets:
        text = text.replace(secret, _HIDDEN)
    return text


def _hide_user_part(found: re.Match[str]) -> str:
    name, colon, _ = found[2].partition(":")
    return f"{found[1]}{name}:{_HIDDEN}@" if colon else f"{found[1]}{_HIDDEN}@"


def _usage_line(error: click.UsageError) -> str:
    line = _first_lower(error.format_message().rstrip("."))
    return line if error.ctx is None else f"{line}; `{error.ctx.command_path} --help` tells more"


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _one_line(text: str) -> str:
    return " ".join(text.split())

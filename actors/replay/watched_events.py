"""Watched events: what Python's audit tells of files, connections and processes, before it happens."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from .around import ACTING, Kind, ReachedAround
from .culprit import Culprit, find_culprit, is_aside, is_of_python

Tell = Callable[[tuple[Any, ...]], str | None]

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
DICE = ("/dev/urandom", "/dev/random")


class Watched(NamedTuple):
    """An event: how it is told from its arguments, None if it is no sin; whether it is refused."""

    kind: Kind
    tell: Tell
    is_refused: bool = True


def _first(verb: str) -> Tell:
    return lambda args: f"{verb} {_text(args[0])}"


def _second(verb: str) -> Tell:
    return lambda args: f"{verb} {_text(args[1])}"


def _both(verb: str) -> Tell:
    return lambda args: f"{verb} {_text(args[0])} to {_text(args[1])}"


def _host(verb: str) -> Tell:
    return lambda args: f"{verb} {_text(args[1])}:{_text(args[2])}"


def _only(words: str) -> Tell:
    return lambda args: words


def _text(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode(errors="replace")
    if isinstance(value, (list, tuple)):
        return " ".join(_text(each) for each in value[:8])  # pyright: ignore[reportUnknownVariableType]  # of a command
    return str(value)


def _address(verb: str) -> Tell:
    def tell(args: tuple[Any, ...]) -> str | None:
        address = args[1]
        if address is None:  # a message on a connection that is open
            return None
        if isinstance(address, tuple) and len(address) >= 2:  # pyright: ignore[reportUnknownArgumentType]
            return f"{verb} {address[0]}:{address[1]}"
        return f"{verb} {_text(address)}"

    return tell


def _lookup(args: tuple[Any, ...]) -> str:
    return f"looks up {_text(args[0])}" + ("" if args[1] is None else f":{_text(args[1])}")


def _url(args: tuple[Any, ...]) -> str | None:
    url = _text(args[0])
    return None if url.startswith(("data:", "file:")) else f"asks {url}"


def _database(args: tuple[Any, ...]) -> str | None:
    name = _text(args[0])
    return None if name == ":memory:" else f"opens the database {name}"


EVENTS: dict[str, Watched] = {
    "socket.connect": Watched("network", _address("connects to")),
    "socket.sendto": Watched("network", _address("sends to")),
    "socket.sendmsg": Watched("network", _address("sends to")),
    "socket.bind": Watched("network", _address("listens on")),
    "socket.getaddrinfo": Watched("network", _lookup),
    "socket.gethostbyname": Watched("network", _first("looks up")),
    "socket.gethostbyaddr": Watched("network", _first("looks up")),
    "socket.getnameinfo": Watched("network", _first("looks up")),
    "urllib.Request": Watched("network", _url),
    "http.client.connect": Watched("network", _host("connects to")),
    "smtplib.connect": Watched("network", _host("connects to")),
    "ftplib.connect": Watched("network", _host("connects to")),
    "imaplib.open": Watched("network", _host("connects to")),
    "poplib.connect": Watched("network", _host("connects to")),
    "webbrowser.open": Watched("process", _first("opens in a browser")),
    "subprocess.Popen": Watched("process", _second("runs")),
    "os.system": Watched("process", _first("runs")),
    "os.exec": Watched("process", _second("becomes")),
    "os.posix_spawn": Watched("process", _second("runs")),
    "os.spawn": Watched("process", _second("runs")),
    "os.startfile": Watched("process", _first("opens")),
    "os.fork": Watched("process", _only("forks")),
    "os.forkpty": Watched("process", _only("forks")),
    "os.kill": Watched("process", _first("sends a signal to process")),
    "os.killpg": Watched("process", _first("sends a signal to processes")),
    "os.remove": Watched("file", _first("removes")),
    "os.rename": Watched("file", _both("renames")),
    "os.mkdir": Watched("file", _first("makes the folder")),
    "os.rmdir": Watched("file", _first("removes the folder")),
    "os.link": Watched("file", _second("makes the link")),
    "os.symlink": Watched("file", _second("makes the link")),
    "os.truncate": Watched("file", _first("truncates")),
    "os.chmod": Watched("file", _first("changes the mode of")),
    "os.chown": Watched("file", _first("changes the owner of")),
    "os.chflags": Watched("file", _first("changes the flags of")),
    "os.utime": Watched("file", _first("changes the times of")),
    "os.setxattr": Watched("file", _first("changes an attribute of")),
    "os.removexattr": Watched("file", _first("changes an attribute of")),
    "shutil.copyfile": Watched("file", _second("writes")),
    "shutil.copytree": Watched("file", _second("writes")),
    "shutil.move": Watched("file", _both("moves")),
    "shutil.rmtree": Watched("file", _first("removes the folder")),
    "shutil.make_archive": Watched("file", _first("writes the archive")),
    "shutil.unpack_archive": Watched("file", _first("unpacks")),
    "sqlite3.connect": Watched("file", _database),
    "builtins.input": Watched("file", _only("asks at the terminal")),
    "os.listdir": Watched("file", _first("lists"), is_refused=False),
    "os.scandir": Watched("file", _first("lists"), is_refused=False),
}


def opened(args: tuple[Any, ...]) -> tuple[Watched, str] | None:
    """How the opening of a file is told: it is refused for writing."""
    path, mode, flags = args
    if isinstance(path, int):  # it is open
        return None
    name = _text(path)
    if name == os.devnull:
        return None
    if name in DICE:
        return RANDOM, f"opens {name}"
    writes = (isinstance(mode, str) and not {"w", "a", "x", "+"}.isdisjoint(mode)) or (
        isinstance(flags, int) and bool(flags & WRITING)
    )
    return (WRITE, f"writes {name}") if writes else (READ, f"opens {name}")


READ = Watched("file", _first("opens"), is_refused=False)
WRITE = Watched("file", _first("writes"))
RANDOM = Watched("random", _first("opens"), is_refused=False)


def event_seen(event: str, args: tuple[Any, ...]) -> None:
    """Something that is audited is about to happen. Raises ReachedAround, and then it does not."""
    if event == "open":
        acting = ACTING.get()
        told = None if acting is None else opened(args)
        if told is None:
            return
        watched, what = told
    else:
        known = EVENTS.get(event)
        if known is None or (acting := ACTING.get()) is None:
            return
        watched = known
        said = watched.tell(args)
        if said is None:
            return
        what = said
    assert acting is not None
    culprit = find_culprit(sys._getframe(2))  # pyright: ignore[reportPrivateUsage]  # the hook's caller
    if culprit is None or (not culprit.is_sure and is_aside()):
        return
    around = acting.note(with_library(what, culprit), culprit.where, watched.kind)
    if watched.is_refused:
        raise ReachedAround(around)


def with_library(what: str, culprit: Culprit) -> str:
    """With the name of the library, if one was asked to do it."""
    if culprit.through is None or not culprit.through[0]:
        return what
    module = culprit.through[0].partition(".")[0]
    file = getattr(sys.modules.get(culprit.through[0]), "__file__", None)
    return what if file is None or is_of_python(file) else f"{what}, through {module}"

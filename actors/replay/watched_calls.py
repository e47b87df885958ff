"""Watched calls: functions in C that tell a handler what no replay can know, seen by a profile hook."""

from __future__ import annotations

import random
import socket
import sys
import time
from collections.abc import Callable
from datetime import date, datetime
from io import BufferedRandom, BufferedWriter, FileIO, TextIOWrapper
from opcode import opname
from types import CodeType, FrameType
from typing import Any
from weakref import WeakSet

from pydantic_core import SchemaValidator

from .around import ACTING, Acting, Kind
from .culprit import STANDARD, Culprit, find_culprit, is_aside, is_of_python
from .watched_libraries import MODEL_INIT, note_defaults

Profile = Callable[[FrameType, str, Any], object]


def _calls() -> dict[Any, tuple[Kind, str]]:
    found: dict[Any, tuple[Kind, str]] = {}

    def add(kind: Kind, module: str, *names: str) -> None:
        owner = sys.modules.get(module) or __import__(module)
        for name in names:
            if (call := getattr(owner, name, None)) is not None:
                found[call] = (kind, f"{module}.{name}")

    add("time", "time", "time", "time_ns", "clock_gettime", "clock_gettime_ns")
    add("time", "time", "localtime", "gmtime", "ctime", "asctime", "strftime")
    add("random", "os", "urandom", "getrandom")
    add("random", "_uuid", "generate_time_safe", "UuidCreate")
    add("random", "_ssl", "RAND_bytes")
    add("file", "os", "stat", "lstat", "access", "readlink", "statvfs")
    add("process", "_posixsubprocess", "fork_exec")
    for name in ("now", "utcnow", "today"):
        found[getattr(datetime, name)] = ("time", f"datetime.{name}")
    found[date.today] = ("time", "date.today")
    return found


CALLS = _calls()
OF_THE_TIME_GIVEN = {
    CALL: arguments
    for name, arguments in {"localtime": 1, "gmtime": 1, "ctime": 1, "asctime": 1, "strftime": 2}.items()
    if (CALL := getattr(time, name))
}
"""With so many arguments they tell nothing that the caller has not said."""

GLOBAL = random.random.__self__  # type: ignore[attr-defined]  # the instance behind the module's functions
SEED = random.Random.seed.__code__
SEEDED: WeakSet[random.Random] = WeakSet()
"""Instances that were given a seed while a guard was on: of those, everybody knows what they will say."""
NO_DRAWS = frozenset({"getstate", "setstate"})
SENDS = frozenset({"send", "sendall", "sendmsg", "recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg"})
WAKING = "_write_to_self"
"""How asyncio wakes its loop from a thread."""
WRITES = frozenset({"write", "writelines", "truncate"})


def _known_called(frame: FrameType, call: Any, kind: Kind, what: str) -> None:
    acting = ACTING.get()
    if acting is not None and not (call in OF_THE_TIME_GIVEN and _is_given(frame, OF_THE_TIME_GIVEN[call])):
        _note(acting, frame, kind, what)


def _note(acting: Acting, frame: FrameType, kind: Kind, what: str) -> None:
    culprit = find_culprit(frame)
    if culprit is not None and (culprit.is_sure or not is_aside()):
        acting.note(named(what, culprit), culprit.where, kind)


def named(what: str, culprit: Culprit) -> str:
    """What was reached, as its author wrote it: `uuid.uuid4` rather than the `os.urandom` that it asks."""
    if culprit.through is None or not culprit.through[0]:
        return what
    module, function = culprit.through
    if is_of_python(getattr(sys.modules.get(module), "__file__", None) or STANDARD):
        if module.startswith(("asyncio", "concurrent")):
            return what  # they only pass on what they were given
        if module.startswith("pathlib"):  # its classes have other bases in other versions of Python
            return f"pathlib.Path.{function.rpartition('.')[2]}"
        if module == "random":
            function = function.rpartition(".")[2]
            if function == "__init__":
                return "random.Random() without a seed"
        return f"{SAID.get(module, module)}.{function}"
    return f"{what}, through {module.partition('.')[0]}"


SAID = {"genericpath": "os.path", "posixpath": "os.path", "ntpath": "os.path"}


def _is_given(frame: FrameType, arguments: int) -> bool:
    """Whether the call that the frame is at has at least so many arguments; nobody tells a profile hook."""
    code = frame.f_code.co_code
    at = frame.f_lasti
    name = opname[code[at]]
    if name.startswith(("PRECALL", "CALL")) and "EX" not in name:
        return code[at + 1] >= arguments
    return name.startswith("CALL")  # f(*args): in doubt nobody is accused


def _of_random(frame: FrameType, call: Any, owner: random.Random) -> None:
    name: str = call.__name__
    if name == "seed" and owner is not GLOBAL:
        code: CodeType = frame.f_code
        if code is not SEED or frame.f_locals.get("a") is not None:
            SEEDED.add(owner)
            return
    elif name in NO_DRAWS or owner in SEEDED:
        return
    acting = ACTING.get()
    if acting is None:
        return
    if owner is GLOBAL:
        _note(acting, frame, "random", f"random.{name}")
    elif name == "seed":
        _note(acting, frame, "random", "random.Random() without a seed")
    else:
        culprit = find_culprit(frame)
        if culprit is not None and culprit.is_sure:
            acting.note("random.Random that is older than the delivery", culprit.where, "random")


def _of_class(frame: FrameType, call: Any, owner: type) -> None:
    """The clock, asked by way of a subclass of datetime."""
    if issubclass(owner, date) and (name := call.__name__) in ("now", "utcnow", "today"):
        acting = ACTING.get()
        if acting is not None:
            _note(acting, frame, "time", f"{owner.__name__}.{name}")


def _of_socket(frame: FrameType, call: Any, owner: socket.socket) -> None:
    """A connection that is older than the delivery: nothing can refuse what is sent on it."""
    acting = ACTING.get()
    if acting is not None and call.__name__ in SENDS and frame.f_code.co_name != WAKING:
        culprit = find_culprit(frame)
        if culprit is not None and culprit.is_sure:
            acting.note("talks on a connection that is open", culprit.where, "network")


def _of_file(frame: FrameType, call: Any, owner: Any) -> None:
    """A file that is older than the delivery. What is printed is no sin."""
    acting = ACTING.get()
    if acting is None or call.__name__ not in WRITES:
        return
    name = getattr(owner, "name", None)
    if name in ("<stdout>", "<stderr>", 1, 2):
        return
    culprit = find_culprit(frame)
    if culprit is not None and culprit.is_sure:
        acting.note(f"writes to {name}, which is open", culprit.where, "file")


def _of_validator(frame: FrameType, call: Any, owner: Any) -> None:
    if frame.f_code is MODEL_INIT:
        note_defaults(frame, CALLS.get)


OWNERS: dict[type, Callable[[FrameType, Any, Any], None]] = {
    random.Random: _of_random,
    type: _of_class,
    socket.socket: _of_socket,
    TextIOWrapper: _of_file,
    BufferedWriter: _of_file,
    BufferedRandom: _of_file,
    FileIO: _of_file,
    SchemaValidator: _of_validator,
}


def profile_around(before: Any) -> Profile:
    """The hook; one that was there before goes on seeing what it saw."""

    calls, owners = CALLS.get, OWNERS.get

    def see(frame: FrameType, event: str, arg: Any) -> None:
        # Everything that is called or returns comes here: what can be looked up at once is.
        if event == "c_call":
            known = calls(arg)
            if known is not None:
                _known_called(frame, arg, *known)
                return
            owner: Any = getattr(arg, "__self__", None)
            look = owners(type(owner))  # pyright: ignore[reportUnknownArgumentType]  # anything
            if look is not None:
                look(frame, arg, owner)

    def see_both(frame: FrameType, event: str, arg: Any) -> None:
        see(frame, event, arg)
        before(frame, event, arg)

    return see_both if callable(before) else see

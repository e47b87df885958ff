"""A Lua script: its file, and how it is called."""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any, Protocol

from redis.exceptions import NoScriptError

from .keys import lua_names

SHEBANG = "#!lua"
"""With it the server refuses keys of another slot, and refuses the whole script when it has no memory to write: half of
it is never done. `flags=allow-oom` behind it is for what must go on then, because it frees memory or needs none."""


PRELUDES = ("prelude_limits.lua", "prelude.lua")
"""What scripts share, in the order in which it stands before them."""
SETTLED = """\
-- A cluster that moves a slot key by key lets a script begin with half of its keys gone. Two keys that never exist,
-- asked for together, are refused then at both ends of the way: so nothing is half read or half done.
local unsettled = redis.pcall('EXISTS', P .. 'lease:', P .. 'budget:')
if type(unsettled) == 'table' then return redis.error_reply('TRYAGAIN ' .. unsettled.err) end
"""


class Commands(Protocol):
    """The part of a redis-py client, for one server or a cluster, that Roost's scripts and reads need."""

    async def execute_command(self, *args: Any, **options: Any) -> Any: ...


class Script:
    """One `.lua` file, with the key names before its body, and what it uses of the prelude: there as well, or where the
    body says `-- prelude: name, name`, so that calls that do not come so far do not pay for it."""

    def __init__(self, name: str, *, clustered: bool = False) -> None:
        folder = files(__name__.rpartition(".")[0]) / "lua"
        body = (folder / f"{name}.lua").read_text("utf-8")
        if not body.startswith(SHEBANG):
            raise ValueError(f"{name}.lua does not begin with {SHEBANG}")
        prelude = "\n\n".join((folder / name).read_text("utf-8").strip() for name in PRELUDES)
        self.name = name
        first, _, rest = body.partition("\n")
        needed, rest = _put_in(prelude, rest)
        self.text = f"{first}\n{lua_names(needed + rest)}\n{SETTLED if clustered else ''}{needed}\n{rest}"
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, client: Commands, log: str, *args: Any) -> Any:
        """Run on the shard whose log is that key. The server learns the script when it does not know it."""
        try:
            return await client.execute_command("EVALSHA", self.sha, 1, log, *args)
        except NoScriptError:
            return await client.execute_command("EVAL", self.text, 1, log, *args)


_DEFINED = re.compile(r"^local (?:function (\w+)|([\w, ]+) =)", re.MULTILINE)


_PLACE = re.compile(r"^ *-- prelude: (.+)$", re.MULTILINE)


def _put_in(prelude: str, body: str) -> tuple[str, str]:
    """The paragraphs of the prelude that the body uses, and those that these use: a server makes each one's functions
    anew at every call. Then the body, with those paragraphs in their places that it wants elsewhere."""
    paragraphs = prelude.strip().split("\n\n")
    names = [
        {name for one, many in _DEFINED.findall(text) for name in re.findall(r"\w+", one + many)} for text in paragraphs
    ]
    kept: set[int] = set()
    while True:
        used = set(re.findall(r"\w+", "\n".join([body, *[paragraphs[number] for number in kept]])))
        more = {number for number, defined in enumerate(names) if defined & used}
        if more <= kept:
            break
        kept |= more

    def place(wanted: re.Match[str]) -> str:
        asked = set(re.findall(r"\w+", wanted[1]))
        here = [number for number, defined in enumerate(names) if defined & asked]
        kept.difference_update(here)
        return "\n\n".join(paragraphs[number] for number in here)

    body = _PLACE.sub(place, body)
    return "\n\n".join(paragraphs[number] for number in sorted(kept)), body


@cache
def script(name: str, *, clustered: bool = False) -> Script:
    """The script of that name, read once a process; `clustered` for a cluster, where slots move."""
    return Script(name, clustered=clustered)

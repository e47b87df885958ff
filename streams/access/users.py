"""Users of a server, made and listed for a flock by somebody who may."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from redis.exceptions import NoPermissionError, ResponseError

from ..client import CommandClient, ask_all_nodes, ask_one_node
from ..errors import RoostError, ServerUnavailable, SettingsError
from ..unavailable import FAILURES, explain
from .roles import COMMANDS, ROLES, Role, patterns_of, rules_of

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class User:
    """A user of the server that has rights in a flock. `role` is None where its rights are those of no role."""

    name: str
    on: bool
    role: Role | None


class Users:
    """The users of a server, or of all nodes of a cluster, which have users each for itself."""

    def __init__(self, client: CommandClient, shown_url: str) -> None:
        self._client = client
        self._shown_url = shown_url

    async def add(self, name: str, password: str, flock: str, role: Role, *, replace: bool = False) -> None:
        """Raises SettingsError for a name that cannot be one or is taken (unless `replace`), RoostError where this
        connection may not make users, ServerUnavailable."""
        if not NAME.fullmatch(name) or name == "default":
            raise SettingsError(
                f"{name[:80]!r} cannot name a user: use up to 64 letters, digits, dots, dashes and underscores"
            )
        if not replace and await self._ask("ACL GETUSER", name):
            raise SettingsError(f"the user {name!r} is there already: take another name, or give --replace")
        rules = ["reset", "on", f"#{sha256(password.encode()).hexdigest()}", *rules_of(flock, role)]
        await self._tell("ACL SETUSER", name, *rules)

    async def remove(self, name: str) -> bool:
        """Whether it was there. Its connections are closed by the server."""
        if name == "default":
            raise SettingsError("the user 'default' is the server's own: it is not Roost's to remove")
        removed: list[Any] = await self._tell("ACL DELUSER", name)
        return any(int(each) for each in removed)

    async def of_flock(self, flock: str) -> list[User]:
        """Those that have rights in that flock, by name."""
        lines: Sequence[Any] = await self._ask("ACL LIST")
        keys = [f"~{pattern}*" for pattern in patterns_of(flock)]
        found: list[User] = []
        for line in lines:
            text: str = line.decode() if isinstance(line, bytes) else str(line)
            words = text.split()
            if len(words) > 2 and all(key in words for key in keys):
                commands = {word[1:] for word in words if word.startswith("+")}
                role: Role | None = next((role for role in ROLES if set(COMMANDS[role]) == commands), None)
                found.append(User(words[1], "on" in words[2:], role))
        return sorted(found, key=lambda user: user.name)

    async def save(self) -> bool:
        """Keep the users beyond a restart; False where the server does not: it has no file for them."""
        try:
            await self._tell("ACL SAVE")
        except ServerUnavailable:
            raise
        except RoostError:  # it has no file for them, or does not let anybody say so
            return False
        return True

    async def _ask(self, *words: str) -> Any:
        return await self._try(lambda: ask_one_node(self._client, *words))

    async def _tell(self, *words: str) -> list[Any]:
        replies: list[Any] = await self._try(lambda: ask_all_nodes(self._client, *words))
        return replies

    async def _try(self, call: Any) -> Any:
        try:
            return await call()
        except NoPermissionError as error:
            raise RoostError(
                f"this user may not look after users of {self._shown_url}: connect as an administrator ({error})"
            ) from error
        except ResponseError as error:
            raise RoostError(f"{self._shown_url} refuses: {error}") from error
        except FAILURES as error:
            raise explain(error, self._shown_url) from error

"""`roost acl`: users of the server that may do in one flock what their role takes, and nothing else."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .command import Command, Group
from .options import Common, common_options

if TYPE_CHECKING:
    from roost.streams.access.users import Users

NAMES = ("read", "write", "operate")
LEAST, MOST = 12, 512
"""Characters of a password."""


@click.group("acl", cls=Group, subcommand_metavar="[list | add | remove | rules]")
def acl() -> None:
    """Make users of the server for a flock: each may do what its role takes, in this flock only.

    read looks, write lets agents work, operate also archives, rebuilds and restores. Connect as an administrator of the
    server.
    """


@acl.command("list", cls=Command)
@common_options(json=True)
def list_(common: Common) -> None:
    """List the users that have rights in the flock."""
    asyncio.run(_list(common))


@acl.command("add", cls=Command)
@click.argument("name", metavar="USER")
@click.option("--role", type=click.Choice(NAMES), required=True, help="What it may do.")
@click.option("--password-file", type=click.Path(path_type=Path), metavar="FILE",
              help="Its password; made and written there, mode 0600, if there is no such file.")  # fmt: skip
@click.option("--replace", is_flag=True, help="Also if there is such a user: its password and rights are new.")
@common_options(json=True)
def add(common: Common, name: str, role: str, password_file: Path | None, replace: bool) -> None:
    """Make a user, or give one another role.

    Without --password-file a password is made and printed, once.
    """
    asyncio.run(_add(common, name, role, password_file, replace))


@acl.command("remove", cls=Command)
@click.argument("name", metavar="USER")
@common_options(json=True)
def remove(common: Common, name: str) -> None:
    """Remove a user from the server; its connections end."""
    asyncio.run(_remove(common, name))


@acl.command("rules", cls=Command)
@click.option("--role", type=click.Choice(NAMES), required=True, help="What the user is to be allowed.")
@common_options(json=True)
def rules(common: Common, role: Any) -> None:
    """Print the rules of a role, for a server whose users others look after. Nothing is asked of any server."""
    from roost.streams.access.roles import rules_of

    from .json_lines import dump_safely
    from .terminal import write

    made = rules_of(common.settings().flock, role)
    write(dump_safely({"role": role, "rules": made}) if common.json else " ".join(made))


async def _list(common: Common) -> None:
    from roost.streams.access.users import Users

    from .failure import tell
    from .json_lines import dump_safely
    from .terminal import foreign, show, table, write

    settings = common.settings()
    async with common.connect(settings) as connection:
        users = await Users(connection.client, connection.shown_url).of_flock(settings.flock)
    if common.json:
        told: list[dict[str, Any]] = [{"user": user.name, "role": user.role, "on": user.on} for user in users]
        write(dump_safely({"flock": settings.flock, "users": told}))
        return
    if not users:
        tell(f"no user of the server has rights in flock {settings.flock} only; `roost acl add` makes one")
        return
    rows = table("User", "Role")
    for user in users:
        rows.add_row(foreign(user.name), (user.role or "other rights") + ("" if user.on else ", off"))
    show(rows)


async def _add(common: Common, name: str, role: Any, password_file: Path | None, replace: bool) -> None:
    from roost.streams.access.users import Users

    from .failure import tell
    from .json_lines import dump_safely
    from .terminal import write

    settings = common.settings()
    password, made = _password(password_file)
    async with common.connect(settings) as connection:
        users = Users(connection.client, connection.shown_url)
        await users.add(name, password, settings.flock, role, replace=replace)
        kept = await users.save()
    if common.json:
        told = {"user": name, "role": role, "flock": settings.flock, "saved": kept}
        write(dump_safely(told if password_file is not None else told | {"password": password}))
    elif password_file is None:
        write(password)
    if not common.json:
        where = "" if password_file is None else f", password in {password_file}" + (" (made now)" if made else "")
        tell(f"user {name} may {role} in flock {settings.flock}{where}")
    _warn_of_restart(kept)


async def _remove(common: Common, name: str) -> None:
    from roost.streams import RoostError
    from roost.streams.access.users import Users

    from .json_lines import dump_safely
    from .terminal import write

    settings = common.settings()
    async with common.connect(settings) as connection:
        users: Users = Users(connection.client, connection.shown_url)
        if not await users.remove(name):
            raise RoostError(f"there is no user {name!r}: `roost acl list` tells which there are")
        kept = await users.save()
    write(dump_safely({"removed": name, "saved": kept}) if common.json else f"removed user {name}")
    _warn_of_restart(kept)


def _warn_of_restart(kept: bool) -> None:
    from .failure import tell

    if not kept:
        tell("the server keeps users in no file: after a restart this is undone; give it one (aclfile in its settings)")


def _for_me(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _password(file: Path | None) -> tuple[str, bool]:
    """The password, and whether it was made now. Raises SettingsError."""
    from roost.streams import SettingsError

    made = secrets.token_urlsafe(32)
    if file is None:
        return made, True
    try:
        with open(file, "x", opener=_for_me) as new:  # Path.open takes no mode of the file
            new.write(made + "\n")
    except FileExistsError:
        return _kept_password(file), False
    except OSError as error:
        raise SettingsError(f"{file}: the password cannot be kept there ({(error.strerror or '').lower()})") from None
    return made, True


def _kept_password(file: Path) -> str:
    """Raises SettingsError."""
    from roost.streams import SettingsError
    from roost.streams.secret_file import read_secret

    password = read_secret(str(file), "--password-file")
    if not LEAST <= len(password) <= MOST or " " in password:
        raise SettingsError(f"{file} holds no good password: one line of {LEAST} to {MOST} characters, without spaces")
    return password

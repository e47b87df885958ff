"""What Roost needs to know about a server before it uses it, asked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

from .client import CommandClient, ask_all_nodes, ask_one_node
from .errors import ServerUnavailable

BASELINE = (7, 0)
ACCELERATORS = ("XACKDEL", "XDELEX", "XNACK", "WAITAOF", "HPEXPIRE", "DELIFEQ", "MSETEX")
"""Newer commands that parts of Roost may use where a server has them; deliveries use none: docs/decisions, 14."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """`version` is the server's own (9.1.2 of Valkey, 8.2.3 of Redis). `maxmemory` is in bytes, 0 without a limit.

    `commands` are the ACCELERATORS that are there, and "XREADGROUP CLAIM" where XREADGROUP has that option.
    """

    kind: Literal["valkey", "redis"]
    version: str
    cluster: bool
    commands: frozenset[str]
    maxmemory: int
    maxmemory_policy: str
    appendonly: bool


async def find_facts(client: CommandClient, shown_url: str) -> ServerFacts:
    """Raises ServerUnavailable if that server is too old for Roost, or a replica. Redis errors are let through."""
    info = await read_info(client)
    kind: Literal["valkey", "redis"] = "valkey" if "valkey_version" in info else "redis"
    # Valkey calls itself Redis 7.2.4 in redis_version, for old clients.
    version = str(info.get("valkey_version") or info.get("redis_version") or "0")
    numbers = version_numbers(version)
    if numbers < BASELINE:
        raise ServerUnavailable(f"{shown_url} is {kind} {version}, but Roost needs Redis 7.0, Valkey 8 or newer")
    if info.get("role") in ("slave", "replica"):
        raise ServerUnavailable(f"{shown_url} is a replica and takes no writes; give the address of its primary")
    commands = await _find_commands(client)
    if kind == "redis" and numbers >= (8, 4):
        commands |= {"XREADGROUP CLAIM"}
    return ServerFacts(
        kind=kind,
        version=version,
        cluster=info.get("redis_mode") == "cluster" or info.get("cluster_enabled") == "1",
        commands=frozenset(commands),
        maxmemory=int(info.get("maxmemory", 0)),
        maxmemory_policy=info.get("maxmemory_policy", "noeviction"),
        appendonly=info.get("aof_enabled") == "1",
    )


async def read_info(client: CommandClient) -> dict[str, str]:
    """INFO of the server, or of one node of a cluster; values as text."""
    return _as_text(await ask_one_node(client, "INFO"))


async def read_all_infos(client: CommandClient) -> list[dict[str, str]]:
    """INFO of the server, or of every primary of a cluster; values as text."""
    return [_as_text(reply) for reply in await ask_all_nodes(client, "INFO")]


def _as_text(info: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in info.items()}


def version_numbers(version: str) -> tuple[int, ...]:
    """(9, 1, 2) of "9.1.2"; what is no number counts as 0."""
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split(".")[:3])


async def _find_commands(client: CommandClient) -> set[str]:
    replies = cast("list[Any]", await ask_one_node(client, "COMMAND INFO", *ACCELERATORS))
    return {name for name, reply in zip(ACCELERATORS, replies, strict=True) if reply}

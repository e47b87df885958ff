"""Roles: the commands that Roost needs of a server, and the keys and channels of one flock, as rules of its ACL."""

from __future__ import annotations

from typing import Literal

from ..keys import Keys

Role = Literal["read", "write", "operate"]
ROLES: tuple[Role, ...] = ("read", "write", "operate")

CONNECTING = (
    "auth", "hello", "ping", "quit", "reset", "select", "client|id", "client|setinfo", "client|setname",
    "command|info", "info", "time", "role", "wait", "waitaof", "cluster|slots", "cluster|shards", "cluster|nodes",
    "cluster|keyslot", "cluster|myid", "readonly", "asking", "acl|whoami",
)  # fmt: skip
"""What a connection needs, on one server or on a cluster. None of it changes anything."""
READING = (
    "exists", "get", "getrange", "mget", "strlen", "type", "pttl", "hexists", "hget", "hgetall", "hkeys", "hlen",
    "hmget", "hscan", "memory|usage", "scard", "smembers", "xinfo|consumers", "xinfo|groups", "xinfo|stream", "xlen",
    "xpending", "xrange", "xread", "xrevrange", "zcard", "zcount", "zlexcount", "zmscore", "zrange", "zrangebyscore",
    "zscan", "zscore", "evalsha", "eval", "ssubscribe", "sunsubscribe",
)  # fmt: skip
"""What looking takes. A script runs with the rights of who calls it: one that writes fails for who may only read."""
WRITING = (
    "del", "hdel", "hincrby", "hset", "hsetnx", "persist", "pexpire", "sadd", "set", "spop", "spublish", "unlink",
    "xack", "xadd", "xautoclaim", "xclaim", "xdel", "xgroup|create", "xgroup|createconsumer", "xgroup|delconsumer",
    "xgroup|destroy", "xreadgroup", "zadd", "zrem", "zremrangebyrank", "zremrangebyscore",
)  # fmt: skip
OPERATING = ("rename", "xgroup|setid", "xsetid", "xtrim", "config|get", "script|load", "scan")
"""Beyond writing: what archiving, rebuilding and restoring need, and to look at how the server keeps what it has. SCAN
shows the names of all flocks' keys: only who operates has it."""

COMMANDS: dict[Role, tuple[str, ...]] = {
    "read": CONNECTING + READING,
    "write": CONNECTING + READING + WRITING,
    "operate": CONNECTING + READING + WRITING + OPERATING,
}


def patterns_of(flock: str) -> tuple[str, ...]:
    """Beginnings of all keys of that flock, and of no other. Raises SettingsError for what names none."""
    prefix = Keys(flock).prefix
    return prefix.replace(".0}", ".[0-9]}"), prefix.replace(".0}", ".[0-9][0-9]}")


def rules_of(flock: str, role: Role) -> tuple[str, ...]:
    """The rules of a user with that role, for `ACL SETUSER`: all that is not named is refused."""
    allowed = [f"+{command}" for command in COMMANDS[role]]
    keys = [f"~{pattern}*" for pattern in patterns_of(flock)]
    channels = [f"&{pattern}bell*" for pattern in patterns_of(flock)]
    return ("-@all", *allowed, "resetkeys", *keys, "resetchannels", *channels)

"""What a crash may lose, as a server is set now."""

from __future__ import annotations

from typing import Any

from redis import exceptions as redis

from roost.streams.client import CommandClient, ask_all_nodes

SENTENCES = {
    "always": "append-only file, synced with every write: a crash loses nothing that was acknowledged",
    "everysec": "append-only file, synced every second: a crash may lose the last second",
    "no": "append-only file, synced when the system likes: a crash may lose half a minute",
    "snapshots": "snapshots only: a crash loses everything since the last one",
    "none": "in memory only: a restart loses everything",
    "append-only": "append-only file; how often it is synced, the server does not tell",
    "unknown": "the server does not tell",
}
_FROM_WORST = ("none", "snapshots", "unknown", "append-only", "no", "everysec", "always")


async def find_durability(client: CommandClient, *, appends: bool) -> str:
    """A key of SENTENCES; of a cluster, that of its weakest primary. `appends`: INFO tells of an append-only file."""
    try:
        replies = await ask_all_nodes(client, "CONFIG GET", "appendonly", "appendfsync", "save")
    except redis.ResponseError:  # servers that others look after often refuse CONFIG
        return "append-only" if appends else "unknown"
    return min((_judge(reply) for reply in replies), key=_FROM_WORST.index)


def _judge(reply: dict[Any, Any]) -> str:
    settings = {_text(name): _text(value) for name, value in reply.items()}
    if settings.get("appendonly") == "yes":
        sync = settings.get("appendfsync", "")
        return sync if sync in SENTENCES else "append-only"
    if "appendonly" not in settings:
        return "unknown"
    return "snapshots" if settings.get("save") else "none"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

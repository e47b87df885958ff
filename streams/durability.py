"""Durability: what must have happened to an append before it is acknowledged. Chosen when a flock is made.

memory         it is in the primary's memory
disk           it is in the primary's append-only file, synced to its disk
replicated     it is in the memory of one replica, too; of N replicas: replicated:N
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from .client import CommandClient, ask_node_of, make_raw_connection
from .errors import SettingsError
from .patience import explain
from .syncing import ensure_synced
from .unavailable import FAILURES

MODES = "memory, disk, replicated or replicated:N"
MOST_REPLICAS = 9
CONFIRMED_WITHIN = timedelta(seconds=3)
"""How long one wait for a confirmation takes; a server that syncs every second needs up to two."""


@dataclass(frozen=True, slots=True)
class Durability:
    """`replicas` is how many must have an append, beside the primary; `disk`, whether it must be on the primary's."""

    replicas: int = 0
    disk: bool = False

    @classmethod
    def parse(cls, text: object) -> Durability:
        """Raises SettingsError for what is none of MODES."""
        if not isinstance(text, str):
            raise SettingsError(f"{text!r} is no durability: choose {MODES}")
        if text == "memory":
            return MEMORY
        if text == "disk":
            return cls(disk=True)
        match = re.fullmatch(r"replicated(?::([1-9]\d*))?", text)
        if match is None:
            raise SettingsError(f"{text!r} is no durability: choose {MODES}")
        replicas = int(match[1] or 1)
        if replicas > MOST_REPLICAS:
            raise SettingsError(f"{text!r} asks for more replicas than Roost waits for ({MOST_REPLICAS})")
        return cls(replicas=replicas)

    def __str__(self) -> str:
        if self.disk:
            return "disk"
        if self.replicas:
            return "replicated" if self.replicas == 1 else f"replicated:{self.replicas}"
        return "memory"

    @property
    def needs(self) -> int:
        """How many must confirm."""
        return 1 if self.disk else self.replicas

    @property
    def wait(self) -> tuple[str | int, ...]:
        """The command that waits for them, behind the call on its connection."""
        timeout_ms = round(CONFIRMED_WITHIN.total_seconds() * 1000)
        return ("WAITAOF", 1, 0, timeout_ms) if self.disk else ("WAIT", self.replicas, timeout_ms)

    @property
    def missing(self) -> str:
        """What is missing when too few have confirmed."""
        if self.disk:
            return "its server has not synced it to disk"
        return f"fewer than {self.replicas} replica{'s' if self.replicas > 1 else ''} of its server have it"


MEMORY = Durability()


async def check(
    durability: Durability, client: CommandClient, log_key: str, flock: str, *, replicas: bool = True
) -> None:
    """Raises SettingsError if the server that has that log cannot give what the flock needs; ServerUnavailable.
    `replicas`: also if there are too few of them at this moment."""
    if durability == MEMORY:
        return
    name = f"flock {flock!r} has the durability {durability}"
    try:
        if durability.disk:
            connection = await make_raw_connection(client, log_key)
            try:
                await connection.connect()
                await ensure_synced(connection, flock)
            finally:
                await connection.disconnect()
        info: dict[str, object] = await ask_node_of(client, log_key, "INFO")
    except FAILURES as error:
        raise explain(error) from error
    connected = int(str(info.get("connected_slaves", 0)))
    if replicas and connected < durability.replicas:
        raise SettingsError(
            f"{name}, and its server has {connected} replica{'' if connected == 1 else 's'} now: "
            "start more of them, or make a flock of another durability"
        )

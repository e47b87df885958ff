"""A shard: the part of a flock that lives in one hash slot of one server."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import orjson

from .client import CommandClient, is_cluster
from .confirmed import Confirmed
from .durability import MEMORY, Durability, check
from .errors import RoostError, ServerUnavailable, SettingsError
from .event import new_id, pairs
from .keys import Keys
from .patience import PATIENCE, explain, patiently
from .pipe import Pipe
from .placement import Placement, check_shards
from .replaying import refuse_in_replay
from .routes import Routes
from .script import Commands, Script, script
from .unavailable import FAILURES

if TYPE_CHECKING:
    from .encryption.keyholder import Keyholder
    from .encryption.vault import Vault

FORMAT = 1
"""The format of the log that this program writes, and the newest it reads."""
CONFIRMED = frozenset(
    {"subscribe", "forget", "release", "relay", "archived", "adopt", "bridge", "restore", "limit_agent"}
)
"""Scripts whose answer somebody relies on, beside the writer's: in a flock that is more durable than memory, they are
safe before they are answered."""


FIRST_PAUSE_S, LAST_PAUSE_S = 0.002, 0.05
"""Between looks whether a shard is still held."""
ENCRYPTED = "encrypted"
"""Among the settings of a flock: the ID of its vault, if contents are sealed."""
LIMITS = b"limits:"
"""Before a model's name in the hash of the shard itself: that is read whenever something has changed for all."""


class Shard:
    """What a process knows of a shard: how to reach it, its epoch, and its routes.

    `epoch` rises when the log starts anew; whoever caches what is in the shard registers with `on_epoch`.
    """

    def __init__(self, client: Commands, keys: Keys, *, patience: timedelta = PATIENCE) -> None:
        self.client = client
        self.keys = keys
        self.patience = patience
        self.pipe = Pipe(client, keys.log)
        self._clustered = is_cluster(client)
        self.durability = MEMORY
        self.confirmed: Confirmed | None = None
        """The way for calls that are to be safe before they are answered; None where memory will do."""
        self.routes = Routes()
        self.epoch = ""
        self.settings: dict[str, Any] = {}
        self.limits: dict[str, str] = {}
        """Of models, by name, as the scripts take them."""
        self._on_epoch: list[Callable[[], None]] = []
        self.restores = False
        """Whether this process puts the log together again, which keeps others out."""
        self.home: Shard = self
        """The flock's first shard, by which the flock is known where it has several."""
        self._keyholder: Keyholder | None = None
        self.placement: Placement | None = None
        """Where a flock with several shards has what; None: all of it is here."""

    @property
    def number(self) -> int:
        return self.keys.shard

    @property
    def keyholder(self) -> Keyholder:
        """With what sealed contents are opened here: the process's own, or what the flock was opened with."""
        if self.home._keyholder is None:
            from .encryption.keyholder import keyholder  # needed by few

            self.home._keyholder = keyholder()
        return self.home._keyholder

    @keyholder.setter
    def keyholder(self, keyholder: Keyholder) -> None:
        self.home._keyholder = keyholder

    @property
    def vault(self) -> Vault | None:
        """With what contents are sealed that are written here; None where they are stored as they are."""
        ident = self.home.settings.get(ENCRYPTED)
        return None if ident is None else self.home.keyholder.vault(str(ident))

    def script(self, name: str) -> Script:
        """That script, as this shard's server needs it."""
        return script(name, clustered=self._clustered)

    def note_id(self, ident: str | None = None) -> str:
        """An identity for a note of this shard's, made of that one, or a new one."""
        ident = ident or new_id()
        return ident if self.placement is None else self.placement.mark(ident, self.number)

    def on_epoch(self, forget: Callable[[], None]) -> None:
        """Call `forget` when the log has started anew, or has lost events that were acknowledged."""
        self._on_epoch.append(forget)

    def forget_what_it_held(self) -> None:
        """Tell whoever caches what is in the shard that the server has lost some of it."""
        for forget in self._on_epoch:
            forget()

    async def open(self, settings: dict[str, Any] | None = None) -> None:
        """Make the shard if it is new, and learn its epoch and routes.

        Raises SettingsError for a newer format, RoostError while the flock is restored by another.
        """
        meta_flat, routes_flat = await self.run("open", FORMAT, orjson.dumps(settings or self.settings))
        meta = pairs(meta_flat)
        if int(meta[b"format"]) > FORMAT:
            raise SettingsError(
                f"flock {self.keys.flock!r} was written by a newer Roost (format {int(meta[b'format'])}): update Roost"
            )
        if meta.get(b"restoring", b"done") != b"done" and not self.restores:
            raise RoostError(
                f"flock {self.keys.flock!r} is being restored, or that was cut off: `roost restore` ends it; until "
                "then nobody else is to write there"
            )
        self.settings = orjson.loads(meta[b"settings"])
        self.durability = Durability.parse(self.settings.get("durability", "memory"))
        if self.confirmed is None and self.durability != MEMORY:
            self.confirmed = Confirmed(self.client, self.keys, self.durability)
        limited = [field for field in meta if field.startswith(LIMITS)]
        self.limits = {field[len(LIMITS) :].decode(): meta[field].decode() for field in limited}
        self.routes = Routes.from_hash(meta[b"generation"], pairs(routes_flat))
        epoch = meta[b"epoch"].decode()
        if self.epoch and epoch != self.epoch:
            self.forget_what_it_held()
        self.epoch = epoch

    async def reopen(self) -> None:
        """Learn the routes anew, since they are not those that were known. While a rebuild holds the shard, this waits
        for the end of that: a moment. Raises ServerUnavailable."""
        await self.open()
        begun, pause_s = time.monotonic(), FIRST_PAUSE_S
        while self.routes.are_held:
            if time.monotonic() - begun > self.patience.total_seconds():
                raise ServerUnavailable(
                    f"flock {self.keys.flock!r} is held by a rebuild that does not end, and nothing was written: "
                    "end the rebuild, and try again"
                )
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(1.5 * pause_s, LAST_PAUSE_S)
            await self.open()

    async def make(
        self,
        durability: Durability | None = None,
        shards: int | None = None,
        *,
        encrypted: bool | None = None,
        vault: str = "",
    ) -> None:
        """Open it, and make it with that durability if it is new; None takes what it has, and memory for a new one.
        `shards` is for how many a new flock's first shard is made; `encrypted` whether its contents are sealed, by a
        new `vault` or that one.

        Raises SettingsError if it has another one, or if its server cannot give it. That a replica of one that is there
        already is away is not for good: what is written waits for it.
        """
        client = cast(CommandClient, self.client)
        settings: dict[str, Any] = {} if durability in (None, MEMORY) else {"durability": str(durability)}
        if shards is not None and check_shards(shards) != 1:
            settings["shards"] = shards
        asked = durability is not None or encrypted
        is_new = bool(asked) and not await self.command("EXISTS", self.keys.key("meta"))
        if vault:  # of a flock that is put together again: its contents are sealed with the keys of then
            settings[ENCRYPTED] = vault
        if is_new and encrypted:  # its keys are there before anything can be sealed with them
            settings[ENCRYPTED] = (await self.keyholder.make_vault()).id
        if is_new and durability is not None:
            await check(durability, client, self.keys.log, self.keys.flock, replicas=True)
        await self.open(settings)
        if durability is not None and durability != self.durability:
            raise SettingsError(
                f"flock {self.keys.flock!r} was made with the durability {self.durability}, which stays: "
                f"ask for that or for none, or make another flock with {durability}"
            )
        if encrypted is not None and encrypted != (self.vault is not None):
            raise SettingsError(
                f"flock {self.keys.flock!r} was made {'without' if encrypted else 'with'} encryption, which stays: "
                f"open it without encrypted=, or make another flock"
            )
        if self.vault is not None:
            await self.vault.check()
        if not is_new:  # after that comparison: the check may change the settings of Roost's own server
            await check(self.durability, client, self.keys.log, self.keys.flock, replicas=False)

    async def run(self, name: str, *args: Any) -> Any:
        """Run a script that may be repeated safely; waits for a server that is away. Raises ServerUnavailable."""
        return await self._patiently(lambda: self._once(name, *args))

    async def run_routed(self, name: str, make: Callable[[Routes], tuple[Any, ...]], *, short: bool = True) -> Any:
        """As `run`, for a script that appends: its arguments depend on the routes.

        Its first argument is their generation; its last is 1 when an attempt before this one may have been carried
        out, for what must not be appended twice. Not `short`: its answer is large and would keep others waiting.
        """
        refuse_in_replay()
        attempts = 0
        if (
            short and self.pipe.takes and (self.confirmed is None or name not in CONFIRMED)
        ):  # the short way, once; whatever comes of it but an answer, the long way deals with it
            try:
                args = (self.routes.generation, *make(self.routes), 0)
                answer = await self.pipe.call("EVALSHA", self.script(name).sha, 1, self.keys.log, *args)
            except FAILURES:
                attempts = 1
            else:
                if answer.__class__ is not list or answer[0] != b"routes":
                    return answer
                await self.reopen()

        async def attempt() -> Any:
            nonlocal attempts
            attempts += 1
            args = (self.routes.generation, *make(self.routes), int(attempts > 1))
            return await self._once(name, *args)

        while True:
            answer = await self._patiently(attempt)
            match answer:
                case [b"routes", *_]:
                    await self.reopen()
                case _:
                    return answer

    async def command(self, *args: Any, **options: Any) -> Any:
        """A plain reading command, repeated like a script. Raises ServerUnavailable."""
        return await self._patiently(lambda: self.client.execute_command(*args, **options))

    async def _once(self, name: str, *args: Any) -> Any:
        """One attempt."""
        if self.confirmed is not None and name in CONFIRMED:
            return await self.confirmed.call(self.script(name), *args)
        return await self.script(name)(self.client, self.keys.log, *args)

    async def _patiently(self, call: Callable[[], Awaitable[Any]]) -> Any:
        refuse_in_replay()
        try:
            return await patiently(call, self.patience)
        except Exception as error:
            explained = explain(error)
            if explained is error:
                raise
            raise explained from error

"""The flock: agents that share one memory, as a program opens it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from copy import copy
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ParamSpec, Self, TypeVar, overload

import structlog

from roost.otel import active
from roost.streams import (
    CLAIM_LEASE,
    Bell,
    Connection,
    Keys,
    Log,
    ModelLimits,
    Note,
    Notes,
    Reader,
    RoostError,
    ServerUnavailable,
    Settings,
    Shard,
    Writer,
    connect,
)  # fmt: skip
from roost.streams.absence import Absence
from roost.streams.dead import ParkedDeliveries
from roost.streams.durability import Durability
from roost.streams.effects import settle_effect, subject_of_effect
from roost.streams.encryption.keyholder import Keyholder, keyholder_of
from roost.streams.encryption.ring import KeyRing
from roost.streams.inbox import InboxGone
from roost.streams.patience import PATIENCE
from roost.streams.placement import shards_of
from roost.streams.unit import Unit

from .actor import Actor
from .appending import Appended, append
from .completion import Ask, Guard, complete
from .current import currently, opened_here
from .effect import Effects
from .ending import end, ended_by
from .expiry import expire_often
from .heartbeat import DELIVERY_LEASE, Heartbeat
from .kept import EFFECT_LIMIT, Action, Kept
from .keyed import AnyWorker, KeyedWorker
from .later import set_later, take_away
from .levels import watch_levels
from .memory import COMPUTE_LIMIT, DEFAULT_TTL, FLOCK_DEFAULT, Memory, Sharing, Ttl
from .models import Model, model_from_name
from .models_used import ModelsUsed
from .opening import Opening
from .parts import MakeMemory, Part, Parts
from .projected import Projected
from .resource import Resource
from .ringer import Ringer
from .scope import Scope, entered
from .shared import Shared, Sharer, share
from .suspects import Suspects
from .traced import sending
from .turnstile import Turnstile, limits_by_name
from .watched import Watched
from .worker import GRACE, Worker

log = structlog.get_logger(__name__)
P = ParamSpec("P")
R = TypeVar("R")

FLUSH = timedelta(seconds=1)


def _to_standard_error(*_: Any) -> structlog.PrintLogger:
    return structlog.PrintLogger(sys.stderr)


class Flock(Projected, Watched):
    """A named set of agents with one memory. Open it with `async with Flock.open(…) as flock`."""

    def __init__(
        self, name: str, connection: Connection, *, agent: str, ttl: timedelta | None, sharing: Sharing,
        model: Model | str | None, claim_lease: timedelta, delivery_lease: timedelta, patience: timedelta,
        verified: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        self.connection = connection
        self.shard = Shard(connection.client, Keys(name), patience=patience)
        self.writer = Writer(self.shard)
        self.notes = Notes(self.shard)
        self.log = Log(self.shard)
        self.dead = ParkedDeliveries(self.shard, agent)
        """Deliveries that were given up: to be listed, retried, dropped."""
        self.heartbeat = Heartbeat(connection, self.shard, claim_lease=claim_lease, delivery_lease=delivery_lease)
        self.suspects = Suspects()
        self._bell = Bell(connection.pushes(), self.shard.keys)
        self._model = model
        self.turnstile = Turnstile(self.shard, self.heartbeat)
        """Where calls of models wait for the limits of the whole fleet."""
        self._models_used = ModelsUsed()
        self.guard: Guard | None = None
        """Asked before each model call that this process makes."""
        self.slots: asyncio.Semaphore | None = None
        """How many model calls this process makes at once; None: as many as its handlers ask for."""
        self._outside = Scope(Reader(agent), self.shard, outside=True)
        owner = f"{socket.gethostname()}-{os.getpid()}".replace(" ", "-")
        self.memory = Memory(
            self.shard, self.writer, connection, self._bell, self.heartbeat, self._outside,
            owner=owner, ttl=ttl, sharing=sharing, verified=verified,
        )  # fmt: skip
        self.effects = Effects(self.shard, self.writer, self.heartbeat)
        self._ringer = Ringer(self.shard, self.writer, self._bell, delivery_lease)
        self._outsiders: list[Scope] = [self._outside]
        self._jobs: list[asyncio.Task[None]] = []
        self._workers: list[AnyWorker] = []
        self._whole: Flock = self
        """The flock itself, for what is a view of it at one of its shards."""
        self._parts: Parts | None = None
        self._make_memory: MakeMemory = lambda shard, writer, bell, heartbeat: Memory(
            shard, writer, connection, bell, heartbeat, self._outside, owner=owner, ttl=ttl, sharing=sharing,
            verified=verified,
        )  # fmt: skip

    @classmethod
    def open(
        cls, name: str | None = None, url: str | None = None, *, home: Path | str | None = None, agent: str = "main",
        ttl: timedelta | None = DEFAULT_TTL, model: Model | str | None = None, sharing: Sharing = "once",
        claim_lease: timedelta = CLAIM_LEASE, delivery_lease: timedelta = DELIVERY_LEASE,
        patience: timedelta = PATIENCE, durability: str | None = None, shards: int | None = None,
        limits: ModelLimits | Mapping[str, ModelLimits | None] | None = None, verified: bool = False,
        encrypted: bool | None = None, keys: KeyRing | None = None,
    ) -> Opening[Self]:  # fmt: skip
        """Open a flock on the server at `url` (or ROOST_URL), or on Roost's own, which is started if need be.

        For `async with`. `agent` is who acts outside handlers; `ttl` is how long notes live that do not say; `model` is
        a name such as `openai/gpt-5` or a model object; `patience` is how long to wait for a server that is away.
        `durability` is what a new flock waits for before it acknowledges: `memory`, `disk`, `replicated` or
        `replicated:N`; None takes what the flock has, and memory for a new one.
        `shards` over how many hash slots a new flock is spread (1), which stays so. None: as it was made.
        `limits` of the model, or of several by their names, are set for the whole flock: see `turnstile`. `verified`
        compares every note that is read with the log: see `Memory.get`.
        `encrypted` (ROOST_ENCRYPTED) has contents of a new flock sealed, each under the keys of those whom it is about;
        None: as it was made. `keys` is where these keys are, instead of ROOST_KEYS. Raises ServerUnavailable or
        SettingsError.
        """

        @asynccontextmanager
        async def opened() -> AsyncGenerator[Self]:
            if not structlog.is_configured():  # its default is standard output, which is the program's own
                structlog.configure(logger_factory=_to_standard_error)
            settings = Settings.read(url=url, flock=name, home=home)
            wanted = None if durability is None else Durability.parse(durability)
            connection = await connect(settings.url, home=settings.home)
            try:
                flock = cls(
                    settings.flock, connection, agent=agent, ttl=ttl, sharing=sharing, model=model or settings.model,
                    claim_lease=claim_lease, delivery_lease=delivery_lease, patience=patience, verified=verified,
                )  # fmt: skip
                active.look()
                flock.shard.keyholder = keyholder_of(settings.key_place) if keys is None else Keyholder("keys=", keys)
                try:
                    await flock._start(wanted, shards, settings.encrypted if encrypted is None else encrypted)
                    flock.memory.search_in(settings.home)
                    for named, limit in limits_by_name(limits, flock._model):
                        await flock.turnstile.limit(named, limit)
                    with opened_here(flock):
                        yield flock
                finally:
                    await flock._close()
            finally:
                await connection.close()

        return Opening(opened)

    async def _start(self, durability: Durability | None, shards: int | None, encrypted: bool | None) -> None:
        await self.shard.make(durability, shards, encrypted=encrypted)
        count = shards_of(self.name, self.shard.settings, shards)
        try:
            async with asyncio.timeout(self.shard.patience.total_seconds()):
                await self._bell.start()
                if count > 1:
                    await self._spread(count)
        except TimeoutError as error:
            raise ServerUnavailable(
                "the server lets nobody subscribe to its channels (SSUBSCRIBE); give this user the right to"
            ) from error
        parts = [self] if self._parts is None else self._parts.all
        self._jobs = [
            asyncio.create_task(self._flush_often(), name="roost flush"),
            asyncio.create_task(expire_often([part.shard for part in parts]), name="roost expiry"),
        ]
        if active.meters is not None:
            self._jobs.append(asyncio.create_task(watch_levels(self), name="roost levels"))

    async def _spread(self, count: int) -> None:
        """Have a part for each shard. The first one's stand for the flock where it acts itself."""
        agent = self._outside.reader.actor or "main"
        self._parts = parts = Parts(
            self.shard, self._bell, self.heartbeat, self.connection, count, agent, self._make_memory
        )
        self.writer, self._ringer, self.memory = parts.all[0].writer, parts.all[0].ringer, parts.memory
        self.log, self.effects, self.dead = parts.log, parts.effects, parts.dead
        await parts.start()

    def _at(self, part: Part) -> Flock:
        """This flock, as who works in one of its shards has it."""
        view = copy(self)
        view.shard, view.writer, view.notes, view.heartbeat = part.shard, part.writer, part.notes, part.heartbeat
        return view

    @property
    def shards(self) -> int:
        """Over how many hash slots it is spread."""
        return 1 if self._parts is None else len(self._parts.all)

    @property
    def workers(self) -> tuple[AnyWorker, ...]:
        """Those at work in this process."""
        return tuple(self._workers)

    @property
    def writers(self) -> tuple[Writer, ...]:
        """One for each shard."""
        return (self.writer,) if self._parts is None else tuple(part.writer for part in self._parts.all)

    async def _close(self) -> None:
        for worker in self._workers:
            await worker.stop()
        await end(self._jobs)
        await (self._ringer if self._parts is None else self._parts).close()
        await self.effects.close()
        await self.memory.close()
        try:
            for scope in self._outsiders:
                await self._log_reads(scope, everything=True)
        except RoostError as error:  # the flock is left all the same; what is lost is the record of some reads
            log.warning("reads could not be logged", error=str(error))
        if self._parts is not None:
            await self._parts.let_go()
        await self.writer.close()
        await self.heartbeat.close()
        await self._bell.close()
        if self._model is not None and not isinstance(self._model, str):
            await self._model.close()

    @property
    def model(self) -> Model:
        """The model that answers `complete`: as chosen, or the one named by ROOST_MODEL, or `offline`."""
        if self._whole is not self:
            return self._whole.model
        if self._model is None or isinstance(self._model, str):
            self._model = model_from_name(self._model or "offline")
        return self._model

    async def append(
        self, *payloads: Any, subject: str | None = None, run: str | None = None, expected: int | None = None,
        cause: str | None = None, timeout: timedelta | None = None,
    ) -> Appended:  # fmt: skip
        """Append declared payloads (or Events) as one unit: all of them, or none.

        `expected` is the version that their subject must have (0: none yet). Waits while an inbox that they go to holds
        its limit; at most for `timeout`, and not at all where its actor refuses then: both raise InboxFull. Raises
        Conflict with the current version, UndeclaredEvent, LimitExceeded, ServerFull, ServerUnavailable,
        OutcomeUnknown.
        """
        scope = self.memory.scope
        if not payloads:
            return Appended((), ())
        if active.tracing is None:
            return await append(scope, self._writer_of, payloads, subject, run, expected, cause, timeout)
        with sending(scope, payloads, run) as sender:
            return await append(sender, self._writer_of, payloads, subject, run, expected, cause, timeout)

    def _writer_of(self, unit: Unit) -> Writer:
        return self.writer if self._parts is None else self._parts.writer_of(unit)

    async def later(
        self, payload: Any, *, delay: timedelta | None = None, at: datetime | None = None, subject: str | None = None,
        run: str | None = None,
    ) -> str:  # fmt: skip
        """Let a declared payload (or an Event) be appended after a delay, or at a time, by the server's clock; its ID.

        It is set when this returns, whatever becomes of this program; what is past is appended at once. Some process
        must then be open that works, or has set timers itself. Raises SettingsError for a time without a time zone,
        LimitExceeded for more than 366 days ahead; else as `append`.
        """
        self._ringer.start()
        return await set_later(self, payload, delay, at, subject, run)

    async def cancel_later(self, event_id: str) -> bool:
        """Let an event not be appended that was set for later; whether it was still set."""
        return await take_away(self, event_id)

    @overload
    async def effect(self, key: str, action: Action, *, limit: timedelta = EFFECT_LIMIT) -> Any: ...

    @overload
    async def effect(self, key: str, action: Action, *, returns: type[R], limit: timedelta = EFFECT_LIMIT) -> R: ...

    async def effect(self, key: str, action: Action, *, returns: Any = None, limit: timedelta = EFFECT_LIMIT) -> Any:
        """Let something happen outside that must not happen twice, outside handlers: see `Context.effect`.

        While another carries it out, this waits for it. After EffectUnknown, `settle_effect` is the way on.
        """
        return await self.effects.carry_out(self.memory.scope, key, action, Kept.of(returns), limit)

    async def settle_effect(self, key: str, *, done: bool, result: Any = None, by: str = "") -> None:
        """Say how an effect was whose outcome is unknown. `done`: whoever asks for it gets `result`; otherwise it has
        not happened, and the next who asks carries it out. A delivery that was parked for it can then be retried.

        Raises SettingsError when there is nothing to settle, EffectBusy while it is being carried out, LimitExceeded,
        Conflict when somebody else has settled it meanwhile.
        """
        agent = self.memory.scope.reader.actor
        shard = self.shard if self._parts is None else self._parts.shard_of(subject_of_effect(key))
        await settle_effect(shard, key, done=done, result=result, by=by, agent=agent)

    @asynccontextmanager
    async def acting(self, agent: str, *, run: str | None = None) -> AsyncGenerator[None]:
        """Within this block, reads and writes are this agent's, and belong to this run."""
        scope = Scope(Reader(agent, run), self.shard, outside=True)
        self._outsiders.append(scope)
        try:
            with entered(scope):
                yield
        finally:
            self._outsiders.remove(scope)
            try:
                await self._log_reads(scope, everything=True)
            except RoostError as error:  # must not hide an error of the block
                log.warning("reads could not be logged", error=str(error))

    async def complete(
        self, ask: Ask | str, *notes: Note | str, model: Model | None = None, limit: timedelta = COMPUTE_LIMIT
    ) -> Note:
        """The model's answer over notes, as a note; once for the same model, instructions, inputs and parameters.

        Errors of the model are raised as they are, and never kept.
        """
        asked = Ask(instructions=ask) if isinstance(ask, str) else ask
        return await complete(
            self.memory, model or self.model, asked, notes, limit=limit, guard=self._whole.guard,
            slots=self._whole.slots, turnstile=self.turnstile, used=self._models_used,
        )  # fmt: skip

    async def fetch(
        self, url: str, *, max_age: timedelta | None = None, ttl: Ttl = FLOCK_DEFAULT, tags: Iterable[str] = (),
        allow_private: bool = False, timeout: timedelta = timedelta(seconds=60), max_bytes: int = 50 * 1024 * 1024,
    ) -> Resource:  # fmt: skip
        """A page: downloaded once for all agents, and from then on asked for only whether it has changed.

        Not even that is asked while the server's `Cache-Control` says that the page is fresh; `max_age` says instead
        how long ago it may have been asked (zero: not before this call). A page that may not be kept (`no-store`) is
        downloaded by each caller. `timeout` and `max_bytes` (64 MiB at most) are those of a download; only public
        addresses are read unless `allow_private`. Raises a DocumentError: FetchFailed for a server that cannot be
        reached, takes too long, breaks off or answers with an error, AddressRefused, DocumentTooLarge.
        """
        from .visit import fetch  # what downloads is heavy, and many never need it

        return await fetch(
            self.memory, url, max_age=max_age, ttl=ttl, tags=tuple(tags), allow_private=allow_private,
            timeout=timeout, max_bytes=max_bytes,
        )  # fmt: skip

    async def read(
        self, path: Path | str, *, ttl: Ttl = FLOCK_DEFAULT, tags: Iterable[str] = (), max_bytes: int = 64 * 1024 * 1024
    ) -> Resource:
        """A file: read once for all agents of this host, and again when its times, size or place on disk have changed.

        The path is as the program gives it, links included; only regular files are read. Raises a DocumentError:
        NoSuchDocument, NotAFile, DocumentTooLarge past `max_bytes` (64 MiB at most), DocumentChanged when it is
        written to all the time.
        """
        from .reading import read

        return await read(self.memory, path, ttl=ttl, tags=tuple(tags), max_bytes=max_bytes)

    @overload
    def shared(self, function: Callable[P, Awaitable[R]], /) -> Shared[P, R]: ...

    @overload
    def shared(
        self, *, version: int | str = 1, ttl: Ttl = FLOCK_DEFAULT, limit: timedelta = COMPUTE_LIMIT,
        tags: Iterable[str] = (), key: Callable[..., Any] | None = None, ignore: Iterable[str] = (),
        name: str | None = None, label: Callable[..., str] | str | None = None,
    ) -> Sharer: ...  # fmt: skip

    def shared(self, function: Any = None, **terms: Any) -> Any:
        """Single flight around an async function: equal calls are carried out once, by one of all who make them.

        The key holds the function's full name (or `name`), `version` (raise it when the function changes) and its
        arguments by value, without those that `ignore` names; or instead of them what `key` answers, called with the
        same arguments. The result comes back as what the function is annotated to answer. `ttl`, `limit`, `tags` and
        `label` are as of `once`; `label` may be a function of the arguments, too.
        """
        return share(lambda: self.memory, function, **terms)

    @asynccontextmanager
    async def work(
        self, *actors: Actor | type[Actor], run: str | None = None, concurrency: int | None = None,
        grace: timedelta = GRACE,
    ) -> AsyncGenerator[list[AnyWorker]]:  # fmt: skip
        """Let these actors work in this process while the block runs; with `run`, on that run's events only.

        An actor's inbox for a run is apart from its inbox for the whole flock: an event of that run that has workers
        of both kinds goes to both. Leaving the block gives what is in hand the grace to end, and hands back the rest.
        Should a worker be able to go on no more, the block is cancelled, and its error raised here; not so when the run
        has ended, and its inbox been taken away.
        Raises SettingsError for a name of a run that cannot be one.
        """
        with currently(self):  # whatever other flocks are open here
            workers = [
                worker
                for actor in actors
                for worker in self._workers_of(actor if isinstance(actor, Actor) else actor(), run, concurrency)
            ]
        self._workers.extend(workers)
        try:
            with currently(self):
                for worker in workers:
                    await worker.start()
            for part in [self] if self._parts is None else self._parts.all:
                (part._ringer if isinstance(part, Flock) else part.ringer).start()
            async with ended_by((worker.failed for worker in workers), but=InboxGone):  # a run may end
                yield workers
        finally:
            try:
                await asyncio.gather(*[worker.stop(grace) for worker in workers])
            finally:
                self._workers = [worker for worker in self._workers if worker not in workers]

    def _workers_of(self, actor: Actor, run: str | None, concurrency: int | None) -> list[AnyWorker]:
        """One for each shard; together they handle as many deliveries at once as one would, but one each at least."""
        kind = KeyedWorker if actor.is_keyed() else Worker
        if self._parts is None:
            return [kind(self, actor, run=run, concurrency=concurrency)]
        each = -(-(concurrency or actor.concurrency) // self.shards)
        return [kind(self._at(part), actor, run=run, concurrency=each) for part in self._parts.all]

    async def flush(self) -> None:
        """Log the reads that a cache has served since the last flush; a note read once more within a second waits."""
        for scope in list(self._outsiders):
            await self._log_reads(scope)

    async def _log_reads(self, scope: Scope, *, everything: bool = False) -> None:
        if self._parts is None:
            await scope.flush(self.writer, everything=everything)
        else:
            await self._parts.flush(scope, everything=everything)

    async def _flush_often(self) -> None:
        absence = Absence(log, "reads could not be logged", "reads can be logged again")
        while True:
            await asyncio.sleep(FLUSH.total_seconds())
            try:
                await self.flush()
                absence.ended()
            except RoostError as error:
                absence.noticed(error)

"""The bridge: all shards of a flock into Kafka, through whatever goes away and comes back."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from roost.otel import active, names

from ..errors import RoostError, ServerUnavailable
from ..marks import events_added
from ..shard import Shard
from .faults import BridgeBusy, BridgeFenced, KafkaRefused, KafkaUnavailable, explain
from .hold import LEASE, Hold
from .mirror import Mirror, Mirroring, Parted, Progress, Watch
from .topics import Layout, settle_topics

FIRST_PAUSE_S, LAST_PAUSE_S = 0.5, 30.0
LAG_S = 5.0
"""Between looks how much is still to be mirrored."""
PATIENCE_ONCE_S = 120.0
"""For how long a bridge that is to end when all is mirrored waits for a Kafka, or a server, that is away."""
MOST_FENCES = 3
FENCED = ("ProducerFenced", "InvalidProducerEpoch", "InvalidProducerIdMapping")
NO_TRANSACTIONS = ("UnknownError", "UnsupportedVersionError", "IncompatibleBrokerVersion")
"""What a broker answers that speaks of transactions without having them."""
Tell = Callable[[str], None]


class Bridge:
    """Runs until it is cancelled, or all that was there is mirrored where that is all that is wanted.

    `standby`: wait while another process mirrors this flock. `tell` is given lines for people, `told` how many events
    have just been mirrored.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        how: Mirroring,
        *,
        layout: Layout | None = None,
        standby: bool = False,
        lease: timedelta = LEASE,
        tell: Tell = lambda _: None,
        told: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._shards = shards
        self._how = how
        self._layout = layout or Layout()
        self._standby = standby
        self._lease = lease
        self._tell = tell
        self._told = told
        self._flock = shards[0].keys.flock
        self._away: dict[object, str] = {}
        self.progress = [Progress() for _ in shards]

    async def run(self) -> None:
        """Raises the errors of faults.py, SettingsError, and RoostError where waiting would not help."""
        holds = [Hold(shard, self._how.topics.name, lease=self._lease) for shard in self._shards]
        try:
            for hold in holds:
                await self._take(hold)
            await self._settle_topics()
            measuring = asyncio.create_task(self._measure(), name="roost bridge lag")
            try:
                async with asyncio.TaskGroup() as group:
                    for number, hold in enumerate(holds):
                        group.create_task(self._mirror(number, hold), name=f"roost mirror {number}")
            except BaseExceptionGroup as failed:
                raise _first(failed) from None
            finally:
                measuring.cancel()
                await asyncio.wait([measuring])
        finally:
            for hold in holds:
                await hold.release()

    async def _measure(self) -> None:
        """How much is still to be mirrored, again and again, where metrics are asked for."""
        told = ((names.FLOCK, self._flock), (names.BRIDGE, self._how.topics.name))
        while True:
            await asyncio.sleep(LAG_S)
            passed = [one.passed for one in self.progress]
            if active.meters is None or None in passed:
                continue
            with suppress(RoostError):  # who mirrors meets it, too
                added = [await events_added(shard) for shard in self._shards]
                behind = sum(max(0, all_of_it - (done or 0)) for all_of_it, done in zip(added, passed, strict=True))
                active.meters.levels(names.BRIDGE_LAG, self._flock, {told: behind})

    async def _take(self, hold: Hold) -> None:
        """Raises BridgeBusy, unless this one is to wait."""
        has_said = False
        while True:
            try:
                await hold.take()
            except BridgeBusy as busy:
                if not self._standby:
                    raise
                if not has_said:
                    self._tell(f"{str(busy).partition(':')[0]}: waiting until it ends")
                    has_said = True
                await asyncio.sleep(self._lease.total_seconds() / 5 * random.uniform(0.5, 1.0))
            else:
                return

    async def _settle_topics(self) -> None:
        how = self._how
        pause_s, begun = FIRST_PAUSE_S, time.monotonic()
        while True:
            try:
                await settle_topics(how.access, how.topics, len(self._shards), self._layout)
            except KafkaUnavailable as error:
                await self._wait("topics", error, pause_s, begun)
                pause_s = min(2 * pause_s, LAST_PAUSE_S)
            else:
                self._is_back("topics")
                return

    async def _mirror(self, number: int, hold: Hold) -> None:
        """Sessions, one after the other."""
        shard, progress = self._shards[number], self.progress[number]
        pause_s, begun, fences = FIRST_PAUSE_S, time.monotonic(), 0
        while True:
            before = progress.batches

            def told(events: int) -> None:
                self._is_back(number)
                self._told(events)

            def slow() -> None:
                self._is_away(number, f"Kafka at {self._how.access.bootstrap} does not answer")

            watch = Watch(told, slow)
            try:
                await Mirror(shard, hold, self._how, len(self._shards), progress, watch).run()
            except Exception as error:
                if progress.batches > before:
                    pause_s, begun, fences = FIRST_PAUSE_S, time.monotonic(), 0
                fences += type(error).__name__ in FENCED
                waiting = await self._judge(error, hold, fences, progress.at is not None)
                if waiting is not None:
                    await self._wait(number, waiting, pause_s, begun)
                    pause_s = min(2 * pause_s, LAST_PAUSE_S)
            else:
                self._is_back(number)
                return

    async def _judge(self, error: Exception, hold: Hold, fences: int, has_begun: bool) -> RoostError | None:
        """What is waited for; None: nothing, the next session finds out. Raises what waiting does not mend."""
        from aiokafka.errors import KafkaError, MessageSizeTooLargeError

        if isinstance(error, Parted):
            return None
        if active.meters is not None:
            active.meters.hampered(self._flock, self._how.topics.name, type(error).__name__)
        if type(error).__name__ in FENCED:  # by another bridge; or by Kafka, of which a transaction took too long
            await hold.keep(None)
            if fences >= MOST_FENCES:
                raise BridgeFenced(
                    f"another process mirrors a flock {self._flock!r} of another server into "
                    f"{self._how.topics.events}, again and again: end it, or choose another --topic-prefix"
                ) from error
            return None
        if isinstance(error, ServerUnavailable | KafkaUnavailable):
            return error
        if type(error).__name__ in NO_TRANSACTIONS and not has_begun and self._how.guarantee != "at-least-once":
            raise KafkaRefused(
                f"Kafka at {self._how.access.bootstrap} does not let us begin to write {self._how.guarantee}: where it "
                "has no transactions, take --guarantee idempotent or at-least-once"
            ) from error
        if isinstance(error, MessageSizeTooLargeError):
            raise KafkaRefused(
                f"Kafka does not take a message of this size: raise message.max.bytes of the brokers ({error})"
            ) from error
        # A producer that is used once more after a fatal error asserts what cannot be any more.
        if isinstance(error, KafkaError | OSError | TimeoutError | AssertionError):
            explained = explain(error, self._how.access.bootstrap)
            if isinstance(explained, KafkaUnavailable):
                return explained
            raise explained from error
        raise error

    async def _wait(self, who: object, error: RoostError, pause_s: float, begun: float) -> None:
        if self._how.once and time.monotonic() - begun > PATIENCE_ONCE_S:
            raise error
        self._is_away(who, str(error))
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))

    def _is_away(self, who: object, why: str) -> None:
        if not self._away:
            self._tell(f"{why}; the flock goes on, and the mirror when it can")
        self._away.setdefault(who, why)

    def _is_back(self, who: object) -> None:
        if self._away.pop(who, None) is not None and not self._away:
            self._tell("the mirror goes on")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    return group.exceptions[0]  # tasks of one group, and none of them has another

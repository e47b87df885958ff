"""How long Roost waits for a server that is gone for a while, and what it makes of a server's errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import structlog
from redis import exceptions as redis_errors
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_before_delay, wait_random_exponential

from .absence import Absence
from .errors import AccessRefused, ServerFull, ServerUnavailable
from .packing import SlotUnsettled

T = TypeVar("T")

log = structlog.get_logger(__name__)

PATIENCE = timedelta(seconds=60)


class NotConfirmed(redis_errors.ConnectionError):
    """What was called has been carried out, and too few have confirmed that they have it."""


PASSING = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.BusyLoadingError,
    redis_errors.TryAgainError,
    redis_errors.ClusterError,
    redis_errors.RedisClusterException,
    redis_errors.MovedError,
    redis_errors.MasterDownError,
    redis_errors.ReadOnlyError,
    SlotUnsettled,
    ConnectionError,
    TimeoutError,
)
"""Errors of a server that is away, starting, or changing its primary. The same call may go through later."""

FOR_GOOD = (redis_errors.AuthenticationError, redis_errors.AuthorizationError)
"""Connection errors by class, yet waiting does not mend them."""


def is_passing(error: BaseException) -> bool:
    """Whether waiting and asking again may help."""
    if isinstance(error, redis_errors.ResponseError) and str(error).startswith("BUSY "):
        return True
    return isinstance(error, PASSING) and not isinstance(error, FOR_GOOD)


def explain(error: Exception) -> Exception:
    """A server's error as one that tells people what to do; any other as it is."""
    ours = (redis_errors.RedisError, redis_errors.RedisClusterException, OSError)
    if not isinstance(error, ours) or isinstance(error, redis_errors.DataError):
        return error
    if isinstance(error, redis_errors.OutOfMemoryError) or "OOM" in str(error)[:40]:
        return ServerFull()
    if isinstance(error, NotConfirmed):
        return ServerUnavailable(f"that was carried out, but {error}")
    if isinstance(error, redis_errors.NoPermissionError) or "ACL failure in script" in str(error):
        return AccessRefused(str(error).replace("ACL failure in script: ", "").partition(" script:")[0])
    if is_passing(error):
        return ServerUnavailable(f"the server is gone ({error}); start it, or set ROOST_URL to one that runs")
    if "MISCONF" in str(error)[:40]:
        return ServerUnavailable(
            "the server cannot write to its disk and refuses writes: make room there; it takes writes again by itself"
        )
    return ServerUnavailable(f"the server refused: {error}")


async def patiently(call: Callable[[], Awaitable[T]], patience: timedelta = PATIENCE) -> T:
    """What the call answers, asked again with growing, jittered pauses while the server is away, until patience ends.

    The call must be one that may be repeated. Raises its last error.
    """
    try:
        return await call()  # nearly always all there is: tenacity's bookkeeping would cost a tenth of a round trip
    except Exception as error:
        if not is_passing(error):
            raise
    waiting = AsyncRetrying(
        stop=stop_before_delay(patience),
        wait=wait_random_exponential(multiplier=0.05, max=2),
        retry=retry_if_exception(is_passing),
        before_sleep=_say,
        reraise=True,
    )

    async def attempt() -> T:  # tenacity awaits what it can see to be a coroutine function, and a lambda is none
        return await call()

    answer: T = await waiting(attempt)
    _absence.ended()
    return answer


_absence = Absence(log, "server away, waiting for it", "the server is back")


def _say(state: RetryCallState) -> None:
    """Tell that we wait, once it is more than a hiccup."""
    if state.attempt_number == 3 and state.outcome is not None:
        _absence.noticed(state.outcome.exception())

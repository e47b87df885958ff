"""Permits to call models: so many at once, so many calls and tokens in any window, by the server's clock."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from datetime import timedelta
from typing import Any

import pytest
from roost_tests.core import MINUTE, SOON, Core, make_core, one
from roost_tests.waiting import wait_until

from roost.streams import ModelLimits, SettingsError
from roost.streams.permits import Hold, Permits

MODEL = "openai/gpt x"


@pytest.fixture
def permits(core: Core) -> Permits:
    return Permits(core.shard)


def why(hold: Hold | None) -> str | None:
    return None if hold is None else hold.why


async def test_a_model_without_limits_needs_no_permit(permits: Permits, core: Core) -> None:
    assert not permits.guards(MODEL)
    assert await permits.take(MODEL, "a", 10, MINUTE) is None
    assert await core.shard.command("EXISTS", core.shard.keys.key("permits", MODEL)) == 0


async def test_so_many_at_once_and_the_same_permit_again(permits: Permits) -> None:
    await permits.limit(MODEL, ModelLimits(concurrent=2))
    assert [why(await permits.take(MODEL, name, 0, MINUTE)) for name in "abca"] == [None, None, "concurrent", None]
    await permits.give_back(MODEL, "a", None)
    assert [why(await permits.take(MODEL, name, 0, MINUTE)) for name in "cd"] == [None, "concurrent"]
    assert await permits.at_once(MODEL) == 2


async def test_a_permit_that_is_not_renewed_comes_back_after_its_lease(permits: Permits) -> None:
    await permits.limit(MODEL, ModelLimits(concurrent=1))
    assert await permits.take(MODEL, "dead", 0, timedelta(milliseconds=1500)) is None
    hold = await permits.take(MODEL, "next", 0, MINUTE)
    assert hold is not None
    assert 0 < hold.ms <= 1500
    await wait_until(lambda: taken(permits, "next"))


async def taken(permits: Permits, name: str) -> bool:
    return await permits.take(MODEL, name, 0, MINUTE) is None


async def test_a_renewed_permit_stays_and_one_that_ended_does_not_come_back(permits: Permits) -> None:
    await permits.limit(MODEL, ModelLimits(concurrent=1))
    assert await permits.take(MODEL, "a", 0, SOON) is None
    await permits.renew([(MODEL, "a"), (MODEL, "never")], MINUTE)
    await asyncio.sleep(2 * SOON.total_seconds())
    assert why(await permits.take(MODEL, "b", 0, MINUTE)) == "concurrent"
    await permits.give_back(MODEL, "a", None)
    await permits.renew([(MODEL, "a")], MINUTE)
    assert await permits.at_once(MODEL) == 0


async def test_no_window_holds_more_calls_than_its_limit(permits: Permits) -> None:
    window = timedelta(milliseconds=200)
    await permits.limit(MODEL, ModelLimits(requests_per_minute=5, window=window))
    granted: deque[float] = deque()
    for number in range(22):
        while hold := await permits.take(MODEL, str(number), 0, MINUTE):
            assert hold.why == "requests"
            await asyncio.sleep(hold.ms / 1000)
        granted.append(time.monotonic())
        await permits.give_back(MODEL, str(number), None)
    gaps = [later - earlier for earlier, later in zip(granted, list(granted)[5:], strict=False)]
    assert min(gaps) > 0.2 - 0.02, "the sixth after any comes when the window is over"


async def test_tokens_are_those_thought_of_until_it_is_known_how_many_they_were(permits: Permits) -> None:
    await permits.limit(MODEL, ModelLimits(tokens_per_minute=100))
    assert await permits.take(MODEL, "a", 60, MINUTE) is None
    assert why(await permits.take(MODEL, "b", 60, MINUTE)) == "tokens"
    await permits.give_back(MODEL, "a", 30)
    assert await permits.take(MODEL, "b", 60, MINUTE) is None
    await permits.give_back(MODEL, "b", 75)
    assert why(await permits.take(MODEL, "c", 1, MINUTE)) == "tokens"


@pytest.mark.parametrize("pause", [None, timedelta(milliseconds=1500)])
async def test_tokens_of_calls_long_past_hold_nobody_up_however_long_nobody_called(
    permits: Permits, core: Core, pause: timedelta | None
) -> None:
    await permits.limit(MODEL, ModelLimits(tokens_per_minute=100, window=timedelta(milliseconds=500)))
    assert await permits.take(MODEL, "a", 80, MINUTE) is None
    await permits.give_back(MODEL, "a", None, pause)
    calls = core.shard.keys.key("calls", MODEL)
    await wait_until(lambda: is_gone(core, calls))
    await wait_until(lambda: takes(permits, "b", 80), timeout=2)
    assert why(await permits.take(MODEL, "c", 30, MINUTE)) == "tokens", "what is called now counts"


async def is_gone(core: Core, key: str) -> bool:
    return not await core.shard.command("EXISTS", key)


async def takes(permits: Permits, name: str, tokens: int) -> bool:
    return await permits.take(MODEL, name, tokens, MINUTE) is None


async def test_a_call_that_needs_more_than_all_tokens_goes_alone_in_its_window(permits: Permits) -> None:
    await permits.limit(MODEL, ModelLimits(tokens_per_minute=100))
    assert await permits.take(MODEL, "large", 5000, MINUTE) is None
    assert why(await permits.take(MODEL, "small", 1, MINUTE)) == "tokens"


async def test_whoever_needs_much_is_not_overtaken_for_ever(permits: Permits) -> None:
    window = timedelta(milliseconds=400)
    await permits.limit(MODEL, ModelLimits(tokens_per_minute=100, window=window))
    assert await permits.take(MODEL, "a", 50, MINUTE) is None
    assert why(await permits.take(MODEL, "much", 90, MINUTE)) == "tokens"
    assert why(await permits.take(MODEL, "little", 10, MINUTE)) == "tokens", "there is room, but it is not its turn"
    await wait_until(lambda: got(permits, "much", 90))


async def test_who_needs_much_and_has_died_keeps_its_place_for_a_moment_not_for_the_window(
    permits: Permits, core: Core
) -> None:
    await permits.limit(MODEL, ModelLimits(tokens_per_minute=100))
    assert await permits.take(MODEL, "a", 50, MINUTE) is None
    hold = await permits.take(MODEL, "dead", 90, MINUTE)
    assert hold is not None
    assert hold.ms > 50_000
    until_ms = int(await core.shard.command("HGET", core.shard.keys.key("usage", MODEL), " until"))
    seconds, _ = await core.shard.command("TIME")
    assert 5_000 < until_ms - int(seconds) * 1000 < 8_000


async def got(permits: Permits, name: str, tokens: int) -> bool:
    return await permits.take(MODEL, name, tokens, MINUTE) is None


async def test_a_pause_holds_up_everybody_also_where_there_were_no_limits(permits: Permits, core: Core) -> None:
    await permits.give_back(MODEL, "a", None, timedelta(milliseconds=200))
    assert permits.guards(MODEL)
    hold = await permits.take(MODEL, "b", 0, MINUTE)
    assert hold is not None
    assert (hold.why, 0 < hold.ms <= 200) == ("pause", True)
    await permits.give_back(MODEL, "c", None, timedelta(milliseconds=20))
    again = await permits.take(MODEL, "b", 0, MINUTE)
    assert again is not None
    assert again.ms > 20, "a shorter pause does not shorten a longer one"
    await wait_until(lambda: got(permits, "b", 0))


async def test_limits_reach_other_processes_with_their_next_append(core: Core, permits: Permits) -> None:
    other = await make_core(core.connection, core.shard.keys.flock)
    await permits.limit(MODEL, ModelLimits(concurrent=1))
    assert not Permits(other.shard).guards(MODEL)
    await other.writer.write(one())
    assert Permits(other.shard).limits() == {MODEL: ModelLimits(concurrent=1)}
    await permits.limit(MODEL, None)
    await other.writer.write(one())
    assert not Permits(other.shard).guards(MODEL)
    await other.writer.close()


async def test_nothing_is_kept_of_models_that_nobody_asks_any_more(core: Core, permits: Permits) -> None:
    window = timedelta(milliseconds=100)
    await permits.limit(MODEL, ModelLimits(1, 10, 100, window))
    assert await permits.take(MODEL, "a", 5, SOON) is None
    keys = [core.shard.keys.key(kind, MODEL) for kind in ("permits", "calls", "usage")]
    for key in keys:
        assert await core.shard.command("PTTL", key) > 0


@pytest.mark.parametrize("wrong", [{"concurrent": 0}, {"requests_per_minute": -1}, {"tokens_per_minute": 1.5}])
def test_limits_are_whole_numbers_from_one_on(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="whole number"):
        ModelLimits(**wrong)


def test_limits_as_scripts_take_them() -> None:
    limits = ModelLimits(None, 500, 100_000)
    assert limits.to_text() == "- 500 100000 60000"
    assert ModelLimits.from_text(limits.to_text()) == limits

"""Everything fails, in short: the whole of it is `make chaos`."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Coroutine
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from roost_tests.chaos.__main__ import as_json
from roost_tests.chaos.plan import Where, kinds_of, plan
from roost_tests.chaos.run import Outcome, run_chaos
from roost_tests.chaos.storm import Terms
from roost_tests.crew import tell

Short = Callable[[Where, str], Coroutine[Any, Any, Outcome]]
SECONDS = 8.0
LEASE_S = 1.0
PACE_S = 0.5


@pytest.fixture
def short(tmp_path: Path) -> Short:
    """Every kind of fault, quickly one after the other."""

    async def run(where: Where, seed: str) -> Outcome:
        tell(f"{where}: seed {seed}")
        faults = plan(seed, SECONDS, where, lease_s=LEASE_S, pace_s=PACE_S)
        acts = {"raise": 8.0, "sleep": 1.0, "block": 0.5, "poison": 1.0, "die": 0.5}
        terms = Terms("chaos", seed, tmp_path, lease_s=LEASE_S, grace_s=4.0, acts=acts)
        outcome = await run_chaos(terms, where, faults, SECONDS, tell)
        assert outcome.summary.faults == Counter(fault.kind for fault in faults), "each that was planned has struck"
        return outcome

    return run


def a_seed(where: Where, kind: str) -> str:
    """Whose schedule has that kind of fault among its first: there is not time for all."""
    while True:
        seed = secrets.token_hex(4)
        if kind in {fault.kind for fault in plan(seed, SECONDS, where, lease_s=LEASE_S, pace_s=PACE_S)}:
            return seed


def report(seed: str, outcome: Outcome) -> str:
    lines = "\n".join(str(violation) for violation in outcome.violations[:20])
    return f"seed {seed}: {len(outcome.violations)} violations\n{lines}"


async def test_work_survives_everything_that_can_fail_on_one_server(short: Short) -> None:
    seed = a_seed("standalone", "kill server")
    outcome = await short("standalone", seed)
    assert not outcome.violations, report(seed, outcome)
    assert outcome.summary.commands["commands accepted"] > 50
    assert outcome.summary.faults["kill server"] >= 1
    assert orjson.loads(orjson.dumps(as_json("standalone", seed, SECONDS, outcome)))["violations"] == []


@pytest.mark.long
@pytest.mark.parametrize("seed", ["a second one", None])
async def test_work_survives_everything_that_can_fail_on_a_cluster(short: Short, seed: str | None) -> None:
    seed = seed or a_seed("cluster", "fail over")
    outcome = await short("cluster", seed)
    assert not outcome.violations, report(seed, outcome)
    assert outcome.summary.faults["fail over"] >= 1


@pytest.mark.parametrize("where", ["standalone", "cluster"])
def test_a_seed_gives_the_same_schedule_again(where: Where) -> None:
    first, second, other = (plan(seed, 300, where, lease_s=1.5, pace_s=2.0) for seed in ("one", "one", "other"))
    assert first == second != other
    assert {fault.kind for fault in first} == set(kinds_of(where))
    assert all(before.at_s < after.at_s < 300 * 0.8 for before, after in pairwise(first))

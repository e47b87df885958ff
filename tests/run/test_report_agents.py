"""The agents of a run in one process: how they meet a model that fails, and bounds on what they may spend."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from roost_tests.fake_openai import Failure, FakeOpenAI
from roost_tests.handbook import QUESTIONS, write_handbook

from roost.actors import Flock, Retry
from roost.actors.documents import Source
from roost.actors.mapreduce import JobFinished, unless_failed
from roost.actors.models import Model
from roost.actors.models.openai_client import OpenAIModel
from roost.actors.report import RunStarted, end, follow, start, working
from roost.actors.report.report import Answerer, Summarizer
from roost.streams import Event, new_id

SECTIONS = 3


class Job:
    """A run of the report over a small document, in this process."""

    def __init__(self, url: str, flock: str, directory: Path) -> None:
        self._url, self._flock, self._directory = url, flock, directory
        self.events: list[Event] = []

    async def run(
        self, model: Model, *, sections: int = SECTIONS, question: str = QUESTIONS[0], max_cost_usd: str | None = None
    ) -> JobFinished:
        path = write_handbook(self._directory / "doc.md", sections)
        spec = RunStarted(
            run=new_id(), questions=(question,), documents=("doc.md",), model="openai/x", agents=1,
            max_cost_usd=max_cost_usd,
        )  # fmt: skip
        self.events = []
        async with Flock.open(self._flock, self._url, model=model) as flock:
            since = await start(flock, spec, [Source("file", str(path), "doc.md")], self._directory)
            async with working(flock, spec, self._directory) as workers:
                finished = await unless_failed(workers, follow(flock, spec, since, self.events.append))
            await end(flock, spec, finished)
        return finished

    def count(self, kind: str) -> int:
        return sum(event.type == kind for event in self.events)


@pytest.fixture
def job(server_url: str, flock_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    for agent in (Summarizer, Answerer):  # as often as ever, without the pauses of a second and more
        monkeypatch.setattr(agent, "retry", Retry(attempts=4, first_delay=timedelta(milliseconds=20)))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    return Job(server_url, flock_name, tmp_path)


@pytest.fixture
async def far(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeOpenAI]:
    """Without failures; a test may add some."""
    async with FakeOpenAI() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        yield server


def failing(far: FakeOpenAI, *kinds: str) -> OpenAIModel:
    """A model whose server fails so."""
    far._failures = tuple(Failure.parse(kind) for kind in kinds)  # pyright: ignore[reportPrivateUsage]  # a test's own
    return OpenAIModel("x", timeout=timedelta(milliseconds=300))


@pytest.mark.parametrize(
    ("failure", "calls", "told"),
    [
        ("error", 4 * SECTIONS, "failed with status 500"),
        ("hang", 4 * SECTIONS, "gave no answer"),
        ("drop", 4 * SECTIONS, "cannot be reached"),
        ("empty", SECTIONS, "empty answer"),
        ("cut", SECTIONS, "cut off"),
        ("refusal", SECTIONS, "would not answer"),
        ("request", SECTIONS, "refused the request"),
    ],
)
async def test_a_section_is_given_up_when_the_model_fails_on_it(
    job: Job, far: FakeOpenAI, failure: str, calls: int, told: str
) -> None:
    finished = await job.run(failing(far, failure))
    assert far.calls == calls
    assert job.count("delivery.parked") == SECTIONS
    assert [told in missing.reason for missing in finished.missing] == [True] * SECTIONS
    assert finished.result is not None  # a report that names them


async def test_a_busy_server_is_asked_again_after_the_time_it_asks_for(job: Job, far: FakeOpenAI) -> None:
    finished = await job.run(failing(far, "busy:2"))
    assert finished.missing == ()
    assert far.calls == 2 + SECTIONS + 1
    retried = [event for event in job.events if event.type == "delivery.retried"]
    assert [event.data["delay_ms"] >= 1000 for event in retried] == [True, True]


async def test_an_answer_that_fails_is_missing_by_its_question(job: Job, far: FakeOpenAI) -> None:
    await job.run(failing(far))  # the summaries are known from now on
    finished = await job.run(failing(far, "cut"), question=QUESTIONS[1])
    [missing] = finished.missing
    assert missing.what == QUESTIONS[1]
    assert "cut off" in missing.reason
    assert finished.results == {"1": None}


@pytest.mark.parametrize("failure", ["key", "forbidden", "model", "quota"])
async def test_what_every_call_would_meet_is_met_once(job: Job, far: FakeOpenAI, failure: str) -> None:
    finished = await job.run(failing(far, failure), sections=20)
    assert far.calls == 1
    assert job.count("run.halted") >= 1
    assert job.count("delivery.parked") == 0
    assert finished.result is None
    assert len(finished.missing) == 1


async def test_a_run_stops_calling_when_its_money_is_spent(job: Job, far: FakeOpenAI) -> None:
    price = {"input": Decimal(10_000), "output": Decimal(0)}  # about two dollars a call
    finished = await job.run(OpenAIModel("x", prices={"openai/x": price}), sections=8, max_cost_usd="3")
    paid = [Decimal(event.data["cost_usd"]) for event in job.events if "cost_usd" in event.data]
    assert len(paid) == far.calls
    assert 3 <= sum(paid) < 3 + max(paid)  # the call that reached the bound was the last
    assert len(finished.missing) == 8 - far.calls + 1
    assert all("--max-cost" in missing.reason for missing in finished.missing)

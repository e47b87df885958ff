"""Labels: what people who look on are told of work in hand."""

from __future__ import annotations

from typing import Any

import pytest
from roost_tests.crew import events_of

from roost.actors import Ask, Flock
from roost.actors.label import MAX_LABEL
from roost.actors.models import OfflineModel


async def labels(flock: Flock, *types: str) -> list[str | None]:
    return [event.data.get("label") for event in await events_of(flock, *types)]


async def count() -> int:
    return 1


async def fail() -> int:
    raise ValueError("no")


async def test_the_label_stands_in_all_events_of_the_work(flock: Flock) -> None:
    await flock.memory.once("k", count, label="counting owls")
    with pytest.raises(ValueError, match="no"):
        await flock.memory.once("f", fail, label="failing")
    assert (
        await labels(flock, "work.claimed", "work.computed", "work.failed") == ["counting owls"] * 2 + ["failing"] * 2
    )


async def test_without_single_flight_the_work_is_labelled_too(join: Any) -> None:
    aside = await join(sharing="cache")
    await aside.memory.once("k", count, label="counting owls")
    assert await labels(aside, "work.computed") == ["counting owls"]


async def test_work_without_a_label_tells_none(flock: Flock) -> None:
    await flock.memory.once("k", count)
    assert [set(event.data) for event in await events_of(flock, "work.claimed")] == [{"key"}]
    await flock.memory.once("blank", count, label=" \n ")
    assert await labels(flock, "work.claimed") == [None, None]


async def test_the_label_is_no_part_of_the_key(flock: Flock) -> None:
    first = await flock.memory.once("k", count, label="one")
    assert (await flock.memory.once("k", count, label="two")).id == first.id


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("x" * 201, "x" * 199 + "…"),
        ("x" * 100_000, "x" * 199 + "…"),
        ("x" * 200, "x" * 200),
        (" two\n lines\t", "two lines"),
        ("half \udcff", "half ?"),
    ],
    ids=["a little long", "very long", "just right", "lines", "no Unicode"],
)
async def test_a_label_is_one_line_of_bounded_length(flock: Flock, given: str, shown: str) -> None:
    await flock.memory.once("k", count, label=given)
    assert await labels(flock, "work.claimed") == [shown]
    assert len(shown) <= MAX_LABEL


async def test_a_label_that_is_no_text_is_refused(flock: Flock) -> None:
    wrong: Any = 7
    with pytest.raises(TypeError, match="label is text"):
        await flock.memory.once("k", count, label=wrong)


async def test_a_completion_tells_the_model_and_what_it_is_about(flock: Flock) -> None:
    page = await flock.memory.put("Owls hunt at night. They hear well.")
    model = OfflineModel()
    for ask in (
        "Sum up  this page,\n please.",
        Ask(instructions="Answer.", question="How do owls hunt?"),
        Ask(instructions="Sum it up.", title="Owls"),
        Ask(instructions="word " * 50),
    ):
        await flock.complete(ask, page, model=model)
    told = [*dict.fromkeys(await labels(flock, "work.claimed"))]  # who is slow for longer than its lease claims again
    assert told[:3] == ["Sum up this page, please. · offline", "How do owls hunt? · offline", "Owls · offline"]
    assert told[3] is not None
    assert told[3].endswith("word… · offline")
    assert len(told[3]) <= len(" · offline") + 80


async def test_a_shared_function_tells_its_call(flock: Flock) -> None:
    @flock.shared()
    async def embed(text: str, size: int = 3, exact: bool = False, among: Any = None) -> int:
        return len(text) + size

    await embed("Owls")
    await embed("Owls " * 100, 4, among={"secret": 1})
    first, second = await labels(flock, "work.claimed")
    assert first == "embed('Owls', 3, False, None)"
    assert second == f"embed('{'Owls ' * 7}Owls…', 4, False, dict)"

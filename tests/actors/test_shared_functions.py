"""Shared functions: what is one call, what comes back, and what cannot be shared."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any, Generic, TypeVar, assert_type
from uuid import UUID

import pytest
from pydantic import BaseModel
from roost_tests.crew import events_of
from roost_tests.peer import Peer, peers
from roost_tests.surveys import Bird, Sighting, survey
from roost_tests.waiting import wait_until

from roost.actors import Computed, Flock, NoFlock, UnfitResult, Work, current_flock, shared
from roost.streams import Note

Join = Callable[..., Awaitable[Flock]]
T = TypeVar("T")


class Tree(BaseModel):
    kind: str
    height: float = 1.5


class Season(Enum):
    SPRING = "spring"
    AUTUMN = "autumn"


@dataclass(frozen=True)
class Place:
    name: str
    visits: int = field(default=0, compare=False)


class Tagged(BaseModel, Generic[T]):
    value: T


async def test_parentheses_may_be_left_out(flock: Flock) -> None:
    calls = 0

    @flock.shared
    async def double(n: int) -> int:
        """Twice."""
        nonlocal calls
        calls += 1
        return 2 * n

    assert_type(await double(4), int)
    assert [await double(4), await double(n=4)] == [8, 8]
    assert calls == 1
    assert (double.__name__, double.__doc__) == ("double", "Twice.")
    assert str(inspect.signature(double)) == "(n: 'int') -> 'int'"
    assert inspect.iscoroutinefunction(double)


async def test_defaults_are_arguments_like_others(flock: Flock) -> None:
    @flock.shared()
    async def scale(n: int, by: int = 2, *more: int, also: int = 1, **others: int) -> int:
        return n * by * also

    key = scale.key_of(3)
    assert key == scale.key_of(3, 2) == scale.key_of(n=3, by=2, also=1)
    assert len({key, scale.key_of(3, 2, 1), scale.key_of(3, also=2), scale.key_of(3, another=1)}) == 4


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, "1"),
        (1, True),
        (1, 1.0),
        (None, float("nan")),
        (float("inf"), float("-inf")),
        ("a", b"a"),
        ("a", PurePosixPath("a")),
        (b"a", b"b"),
        ("2026-05-01", date(2026, 5, 1)),
        (date(2026, 5, 1), datetime(2026, 5, 1)),  # noqa: DTZ001
        (datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 1)),  # noqa: DTZ001
        (timedelta(seconds=1), 1),
        (UUID(int=1), str(UUID(int=1))),
        (Season.SPRING, "spring"),
        (Season.SPRING, Season.AUTUMN),
        (Tree(kind="oak"), {"kind": "oak", "height": 1.5}),
        (Tree(kind="oak"), Tree(kind="oak", height=2)),
        (Bird("oak"), Place("oak")),
        ({1: "a"}, {"1": "a"}),
        ({"$kind": ["bytes", "a"]}, b"a"),
        ([1], {1}),
        ([1, 2], [2, 1]),
        (2**64, str(2**64)),
        ("\udcff", "�"),
        ([[0]], [0]),
    ],
    ids=repr,
)
def test_what_differs_has_another_key(one: Any, other: Any) -> None:
    @shared
    async def look(thing: Any) -> int:
        return 1

    assert look.key_of(one) != look.key_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, 2], (1, 2)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1: "a", None: "b"}, {None: "b", 1: "a"}),
        pytest.param({"a", "b", "c"}, frozenset(["c", "b", "a"]), id="sets"),  # their order is no part of a name
        (b"a", bytearray(b"a")),
        (Place("nest", visits=1), Place("nest", visits=2)),
        (Tree(kind="oak"), Tree(kind="oak", height=1.5)),
        (Path("nests/one"), PurePosixPath("nests/one")),
        (Tagged[int](value=1), Tagged[int](value=1)),
    ],
    ids=repr,
)
def test_what_is_equal_has_the_same_key(one: Any, other: Any) -> None:
    @shared
    async def look(thing: Any) -> int:
        return 1

    assert look.key_of(one) == look.key_of(other)


async def test_a_note_as_an_argument_counts_by_its_id(flock: Flock) -> None:
    @flock.shared
    async def count(page: Note) -> int:
        return len(page.text.split())

    page = await flock.memory.put("Owls hunt at night.")
    assert count.key_of(page) == count.key_of(await flock.memory.get(page.id))
    assert count.key_of(page) != count.key_of(await flock.memory.put("Owls hunt at night."))
    assert await count(page) == 4
    assert (await count.note(page)).sources == ()


async def test_an_argument_that_cannot_be_part_of_a_key_is_named(flock: Flock) -> None:
    @flock.shared
    async def ask(question: str, client: Any, *, options: Any = None) -> str:
        return question

    with pytest.raises(TypeError, match=r"argument 'client' of ask cannot be part of a key \(Flock\): leave it out"):
        await ask("why?", flock)
    with pytest.raises(TypeError, match=r"the argument 'options' of ask cannot be part of a key \(object\)"):
        await ask("why?", None, options={"deep": [object()]})
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TypeError, match=r"'client' of ask .* \(what goes over 50 levels deep\)"):
        await ask("why?", endless)
    wrong: Any = ask
    with pytest.raises(TypeError, match="ask: missing a required argument: 'client'"):
        await wrong("why?")
    assert await events_of(flock, "work.claimed") == []


async def test_what_is_ignored_is_no_part_of_the_key(flock: Flock) -> None:
    @flock.shared(ignore=["client"])
    async def ask(question: str, client: Any) -> str:
        return f"{question} {client()}"

    assert [await ask("how?", lambda: 1), await ask("how?", lambda: 2)] == ["how? 1", "how? 1"]
    assert [event.data["label"] for event in await events_of(flock, "work.claimed")] == ["ask('how?')"]


async def test_the_key_may_be_chosen(flock: Flock) -> None:
    def folded(text: str, limit: int = 0) -> str:
        return text.casefold()

    @flock.shared(key=folded, label=lambda *args, **_: f"reading {args[0]}")
    async def read(text: str, limit: int = 0) -> str:
        return text[:limit]

    assert [await read("Owls", 2), await read("OWLS", limit=3)] == ["Ow", "Ow"]
    assert [event.data["label"] for event in await events_of(flock, "work.claimed")] == ["reading Owls"]

    @flock.shared(key=lambda *_: object())
    async def bad(n: int) -> int:
        return n

    with pytest.raises(TypeError, match="key= of bad gave what cannot be a key: object"):
        await bad(1)


async def test_versions_names_and_samples_are_apart(flock: Flock) -> None:
    async def draw(n: int) -> int:
        return n

    first, second = flock.shared(version=1)(draw), flock.shared(version=2)(draw)
    named, other = flock.shared(name="draw")(draw), flock.shared(name="other")(draw)
    keys = [each.key_of(1) for each in (first, second, named, other, first.sample(1), first.sample(2))]
    assert len(set(keys)) == 6
    assert first.sample(1).key_of(1) == keys[4]
    assert_type(await first.sample(1)(1), int)


async def test_fresh_does_not_accept_what_was_there_before(flock: Flock) -> None:
    calls = 0

    @flock.shared
    async def count() -> int:
        nonlocal calls
        calls += 1
        return calls

    assert [await count(), await count(), await count.fresh(), await count()] == [1, 1, 2, 2]


async def test_the_note_behind_a_result_can_be_passed_on(flock: Flock) -> None:
    @flock.shared(tags=["words"], ttl=timedelta(hours=1))
    async def count(text: str) -> Any:
        return Computed(len(text.split()), Work(kind="counting"))

    note = await count.note("two words")
    assert (note.content, note.tags, note.key) == (2, ("words",), count.key_of("two words"))
    assert note.work is not None
    assert note.work["kind"] == "counting"
    assert note.record.ttl_ms == 3_600_000
    assert (await count("two words")) == 2


async def test_no_error_is_kept(flock: Flock) -> None:
    calls = 0

    @flock.shared
    async def fail() -> int:
        nonlocal calls
        calls += 1
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            await fail()
    assert calls == 2


RESULTS: list[tuple[Any, Any]] = [
    (str, "text"),
    (bytes, b"\xff\x00"),
    (None, None),
    (list[float], [0.5, float("inf")]),
    (tuple[int, str], (1, "a")),
    (set[int], {1, 2}),
    (dict[str, bytes], {"raw": b"\xff"}),
    (datetime, datetime(2026, 5, 1, tzinfo=UTC)),
    (Path, Path("nests")),
    (Tree, Tree(kind="oak", height=30)),
    (list[Tree], [Tree(kind="oak")]),
    (Sighting, Sighting(Bird("owl"), datetime(2026, 5, 1, tzinfo=UTC), (1.5,))),
    (Bird | Tree, Tree(kind="elm")),
    (Tree | None, None),
    (str | bytes | dict[str, int], {"a": 1}),
    (str | bytes | dict[str, int], "text"),
    (Season, Season.SPRING),
    (Tagged[int], Tagged[int](value=1)),
]


@pytest.mark.parametrize(("kind", "value"), RESULTS, ids=[f"{kind}-{i}" for i, (kind, _) in enumerate(RESULTS)])
async def test_a_result_comes_back_as_what_the_function_says(flock: Flock, kind: Any, value: Any) -> None:
    async def answer() -> Any:
        return value

    answer.__annotations__["return"] = kind
    ask = flock.shared(answer)
    first, found = await ask(), await ask()
    assert first == found == value
    assert type(first) is type(found) is type(value)


async def test_without_an_annotation_results_are_as_json_knows_them(flock: Flock) -> None:
    @flock.shared
    async def answer():  # type: ignore[no-untyped-def]  # that is what is tested
        return {"pair": (1, 2), "bird": Bird("owl")}

    assert await answer() == {"pair": [1, 2], "bird": {"kind": "owl"}}


async def test_classes_of_the_function_around_it_are_found(flock: Flock) -> None:
    @dataclass
    class Egg:
        weight: int

    @flock.shared
    async def lay(weight: int) -> Egg:
        return Egg(weight)

    @flock.shared
    async def hatch() -> Chick:
        return Chick(1)

    @dataclass
    class Chick:
        age: int

    assert_type(await lay(50), Egg)
    assert [await lay(50), await lay(50)] == [Egg(50)] * 2
    assert await hatch() == Chick(1)


async def test_a_result_that_is_not_what_the_function_says_is_refused_and_not_kept(flock: Flock) -> None:
    wrong: Any = {"kind": 1}

    @flock.shared
    async def plant() -> Tree:
        return wrong  # type: ignore[no-any-return]  # not all programs are type-checked

    with pytest.raises(UnfitResult, match="plant says that it answers Tree, and answered dict"):
        await plant()
    assert await flock.memory.find(plant.key_of()) is None


class Weighed(BaseModel):
    weight: float


async def test_a_result_that_json_would_change_is_refused_and_not_kept(flock: Flock) -> None:
    @flock.shared
    async def weigh() -> Weighed:
        return Weighed(weight=float("nan"))  # a model writes it as null

    with pytest.raises(
        UnfitResult, match="weigh says that it answers Weighed, and answered Weighed: 1 validation error"
    ):
        await weigh()
    assert await flock.memory.find(weigh.key_of()) is None


async def test_what_cannot_be_kept_is_told_when_the_function_is_shared(flock: Flock) -> None:
    async def connect() -> Flock:
        return flock

    with pytest.raises(UnfitResult, match="connect answers Flock, which cannot be kept"):
        flock.shared(connect)


async def test_a_result_of_an_earlier_shape_asks_for_a_new_version(flock: Flock) -> None:
    async def old() -> dict[str, int]:
        return {"tall": 3}

    async def new() -> Tree:
        return Tree(kind="oak")

    await flock.shared(name="plant")(old)()
    with pytest.raises(UnfitResult, match="as plant answers now: raise its version"):
        await flock.shared(name="plant")(new)()


@dataclass(frozen=True)
class Observer:
    name: str

    @shared
    async def write(self, what: str) -> str:
        return f"{self.name}: {what}"

    @staticmethod
    @shared
    async def guess(n: int) -> int:
        return n

    @shared(ignore=["cls"])
    async def of_class(cls, n: int) -> int:
        return n


class Plain:
    def __init__(self, name: str) -> None:
        self.name = name

    async def write(self, what: str) -> str:
        return f"{self.name}: {what}"

    kept = shared(ignore=["self"])(write)
    refused = shared(write)


async def test_methods_count_their_instance_by_value(flock: Flock) -> None:
    robin, wren = Observer("robin"), Observer("wren")
    assert_type(await robin.write("an owl"), str)
    assert [await robin.write("an owl"), await wren.write("an owl")] == ["robin: an owl", "wren: an owl"]
    assert robin.write.key_of("an owl") == Observer("robin").write.key_of("an owl") != wren.write.key_of("an owl")
    assert await Observer.write(robin, "an owl") == "robin: an owl"
    anyone: Any = robin
    assert await anyone.guess(2) == await Observer.guess(2) == 2
    assert await robin.write.fresh("an owl") == "robin: an owl"
    assert len(await events_of(flock, "work.computed")) == 4


async def test_an_instance_that_has_no_value_must_be_left_out_by_the_program(flock: Flock) -> None:
    with pytest.raises(TypeError, match=r"the argument 'self' of write cannot be part of a key \(Plain\)"):
        await Plain("robin").refused("an owl")
    with pytest.raises(TypeError, match="'self' of write"):
        await flock.shared(Plain("robin").write)("an owl")
    assert await Plain("robin").kept("an owl") == await Plain("wren").kept("an owl") == "robin: an owl"


class Callable2:
    async def __call__(self, n: int) -> int:
        return n


async def yielding() -> AsyncIterator[int]:
    yield 1


def test_what_cannot_be_shared_is_told_at_once() -> None:
    nameless: Any = lambda: yielding()  # noqa: E731
    cases: list[tuple[Any, str]] = [
        (7, "shared takes an async function, not 7"),
        (Tree, "shared takes an async function"),
        (functools.partial(yielding), "share the function itself, and make the partial of that"),
        (yielding, "yielding yields, and what is shared is kept whole"),
        (nameless, "a lambda has no name that keys could hold"),
    ]
    for given, complaint in cases:
        with pytest.raises(TypeError, match=complaint):
            shared(given)
    with pytest.raises(TypeError, match="ignore= names 'm', and Callable2 has no such argument"):
        shared(ignore=["m"])(Callable2())
    wrong: Any = "self"
    misspelt: Any = {"tll": 1}
    with pytest.raises(TypeError, match=r"ignore is a list of words, not one text: ignore=\['self'\]"):
        shared(ignore=wrong)
    with pytest.raises(TypeError, match="unexpected keyword argument 'tll'"):
        shared(**misspelt)


async def test_a_function_that_answers_at_once_is_told_to_be_asynchronous(flock: Flock) -> None:
    given: Any = len
    with pytest.raises(TypeError, match="len answered at once: a shared function is asynchronous"):
        await flock.shared(given)("owl")


async def test_a_callable_object_may_be_shared(flock: Flock) -> None:
    call = flock.shared(Callable2())
    assert await call(3) == 3
    assert await call(3) == 3
    assert len(await events_of(flock, "work.computed")) == 1


async def test_a_shared_function_of_a_module_needs_an_open_flock(join: Join) -> None:
    with pytest.raises(NoFlock, match="no flock is open"):
        await survey(Bird("owl"))
    with pytest.raises(NoFlock, match="no flock is open"):
        current_flock()


async def test_it_uses_the_innermost_flock_around_the_call(settings: dict[str, Any], flock_name: str) -> None:
    async with Flock.open(flock_name, settings["url"]) as outer:
        await survey(Bird("owl"))
        async with Flock.open(f"{flock_name}-in", settings["url"]) as inner:
            await survey(Bird("owl"))
            assert current_flock() is inner
            assert len(await events_of(inner, "work.computed")) == 1
        assert current_flock() is outer
        await survey(Bird("owl"))
        assert len(await events_of(outer, "work.computed")) == 1


async def test_two_processes_call_once_and_a_killed_one_is_replaced(flock: Flock, settings: dict[str, Any]) -> None:
    async with peers(Peer("shared", **settings, bird="owl", sleep_s=60), Peer("shared", **settings, bird="owl")) as two:
        first, second = two
        first.go()
        await first.hear("computing")
        second.go()
        asking = asyncio.create_task(survey(Bird("owl")))
        first.kill()
        found = await asking
        assert await second.hear("found") == repr(found)
    assert type(found) is Sighting
    assert found.weights == (0.25, float("inf"))
    assert [event.type for event in await events_of(flock, "work.computed")] == ["work.computed"]


async def test_a_handlers_call_is_of_the_flock_that_it_works_for(settings: dict[str, Any], flock_name: str) -> None:
    from roost_tests.crew import ACTORS

    assert ACTORS
    seen: list[str] = []

    from roost.actors import Actor, Context, on
    from roost.streams import event

    @event(f"test.asked_{flock_name.replace('-', '_')}")
    @dataclass(frozen=True)
    class Asked:
        n: int

    class Asker(Actor):
        @on(Asked)
        async def ask(self, asked: Asked, ctx: Context[None]) -> None:
            seen.append(current_flock().name)

    async with (
        Flock.open(flock_name, settings["url"]) as first,
        Flock.open(f"{flock_name}-b", settings["url"]) as second,
        first.work(Asker),
        second.work(Asker),
    ):
        await first.append(Asked(1))
        await wait_until(lambda: seen)
        await second.append(Asked(1))
        await wait_until(lambda: len(seen) == 2)
    assert seen == [flock_name, f"{flock_name}-b"]

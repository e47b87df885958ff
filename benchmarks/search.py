"""`python -m benchmarks.search`: how fast a search of a large memory answers, and what its index takes to be made.

Notes have sixty words each, which occur as often as words do in a language: the second half as often as the first.
"""

from __future__ import annotations

import asyncio
import random
import resource
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from hashlib import sha256
from itertools import accumulate, islice
from pathlib import Path

import click

from benchmarks.place import Place, open_place
from roost.actors import Flock
from roost.actors.searching.finder import Finder
from roost.actors.searching.place import Place as Indexes
from roost.actors.searching.question import Question
from roost.streams import Event, Keys, NoteRecord, Shard, Unit, Writer, new_id
from roost.streams.unit import StoredContent

WORDS_A_NOTE = 60
VOCABULARY = 30_000
COMMON = 20
A_UNIT = 50
AT_ONCE = 40


class Language:
    """Words of a language, and texts in it; always the same."""

    def __init__(self) -> None:
        self.draw = random.Random(1)
        self.words = [f"{self._syllables()}{number % 10}" for number in range(VOCABULARY)]
        self._weights = list(accumulate(1 / (1 + number) for number in range(VOCABULARY)))

    def _syllables(self) -> str:
        draw = self.draw
        return "".join(draw.choice("bcdfghklmnprstvw") + draw.choice("aeiou") for _ in range(draw.randint(2, 4)))

    def text(self) -> str:
        return " ".join(self.draw.choices(self.words, cum_weights=self._weights, k=WORDS_A_NOTE))

    def some(self, first: int, last: int, count: int) -> str:
        """Words of which there are so many more frequent ones."""
        return " ".join(self.draw.sample(self.words[first:last], count))


def questions(language: Language) -> dict[str, Callable[[], str]]:
    some = language.some
    return {
        "one rare word": lambda: some(5_000, VOCABULARY, 1),
        "one of the commonest": lambda: some(0, COMMON, 1),
        "two of the commonest": lambda: some(0, COMMON, 2),
        "three of the commonest": lambda: some(0, COMMON, 3),
        "a rare and a common one": lambda: f"{some(2_000, VOCABULARY, 1)} {some(0, COMMON, 1)}",
        "three of any": lambda: some(50, 3_000, 3),
        "eight frequent ones": lambda: some(0, 200, 8),
    }


def units(language: Language, notes: int) -> Iterator[Unit]:
    for first in range(0, notes, A_UNIT):
        unit = Unit()
        for number in range(first, min(first + A_UNIT, notes)):
            raw, note_id = language.text().encode(), new_id()
            digest = sha256(raw).hexdigest()
            record = NoteRecord(
                id=note_id, digest=digest, size=len(raw), author=f"agent-{number % 16}", tags=(f"tag-{number % 7}",)
            )
            body = record.to_json()
            unit.event(Event(id=note_id, type="note.written", subject=f"note/{note_id}", body=body))
            unit.note(note_id, None, StoredContent(digest, len(raw), raw), timedelta(days=30), body, b"")
        yield unit


async def write_notes(shard: Shard, language: Language, notes: int) -> None:
    writer, left = Writer(shard), units(language, notes)
    while some := list(islice(left, AT_ONCE)):
        await asyncio.gather(*[writer.write(unit) for unit in some])
    await writer.close()


async def measure(place: Place, notes: int, rounds: int) -> None:
    name, language, home = place.fresh_name(), Language(), place.scratch / "search"
    shard = Shard(place.client, Keys(name), patience=timedelta(minutes=1))
    await shard.open()
    await write_notes(shard, language, notes)
    before, began, cpu = _peak_mb(), time.perf_counter(), time.process_time()
    finder = Finder([shard], Indexes.of(home, place.url))
    await finder.catch_up()
    click.echo(
        f"index: {notes:,} notes in {time.perf_counter() - began:.1f} s ({time.process_time() - cpu:.1f} s of CPU), "
        f"{_size(home) / 1e6:.1f} MB on disk, memory +{_peak_mb() - before:.0f} MB"
    )
    for what, ask in questions(language).items():
        took = [await _timed(finder, Question(ask())) for _ in range(rounds)]
        click.echo(f"{what}: {_quantiles(took)}")
    finder.close()
    async with Flock.open(name, place.url, home=home) as flock:
        await flock.memory.search(language.some(0, COMMON, 1))
        took = list[float]()
        for number in range(rounds):
            ask = list(questions(language).values())[number % len(questions(language))]
            await flock.memory.put(language.text())
            began = time.perf_counter()
            await flock.memory.search(ask())
            took.append(time.perf_counter() - began)
        click.echo(f"a mix, logged, each after a note was written: {_quantiles(took)}")
        [hit] = await flock.memory.search(language.some(0, COMMON, 1), limit=1)
        began = time.perf_counter()
        await flock.memory.forget(hit.id)
        click.echo(f"to forget one of them: {1000 * (time.perf_counter() - began):.0f} ms")


async def _timed(finder: Finder, question: Question) -> float:
    began = time.perf_counter()
    await finder.find(question)
    return time.perf_counter() - began


def _quantiles(took: list[float]) -> str:
    ordered = sorted(1000 * each for each in took)
    return f"p50 {ordered[len(ordered) // 2]:.1f} ms, p95 {ordered[len(ordered) * 95 // 100]:.1f} ms"


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@click.command()
@click.option("--notes", type=click.IntRange(100), default=100_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=100, show_default=True, help="Questions of each kind.")
def command(notes: int, rounds: int) -> None:
    """Write so many notes, index them, search them, and tell what that took."""

    async def run() -> None:
        async with open_place(quick=False) as place:
            await measure(place, notes, rounds)

    asyncio.run(run())


if __name__ == "__main__":
    command()

"""A small document of real sentences, of as many sections as a test likes, each different from the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from roost.streams import Event

Events = Callable[[], Awaitable[list[Event]]]
"""The `logged` of the tests of `roost run`: all events of the test's flock."""

TOPICS = ("rivers", "owls", "bridges", "copper", "glaciers", "looms", "lanterns", "volcanoes", "harbours", "orchards",
          "clocks", "kites", "salt", "wolves", "paper", "windmills", "bees", "tunnels", "silk", "comets")  # fmt: skip
QUESTIONS = ("What do owls like?", "How is copper carried?", "Where are the glaciers?")


def section(number: int, *, word: str = "old") -> str:
    """One section under a heading of its own; about 900 characters. `word` makes another one of it."""
    topic = TOPICS[number % len(TOPICS)]
    sentences = [
        f"In region {number} the {word} {topic} are known to every traveller who has come that far.",
        f"Record {number * 100 + 1} tells that {topic} like the cold months better than the warm ones.",
        f"Nobody has counted the {topic} of region {number} since the great flood, and few would care to try.",
        f"They are carried down the valley in {number + 3} carts when the road is dry enough for wheels.",
        f"A map of the {topic} hangs in the hall of town {number}, where visitors may copy it for a coin.",
        f"What is said about {topic} elsewhere does not hold here, as chapter {number} of the ledger explains.",
        f"The {topic} stand north of the river, and those who look for them start before sunrise.",
        f"In year {1600 + number} a law was made that protects {topic} from careless handling.",
    ]
    return f"## Of {topic}, region {number}\n\n{' '.join(sentences[:4])}\n\n{' '.join(sentences[4:])}\n"


def write_handbook(path: Path, sections: int = 12, *, changed: int | None = None) -> Path:
    """The document; with one word of section number `changed` another."""
    bodies = [section(number, word="strange" if number == changed else "old") for number in range(sections)]
    path.write_text("# A small handbook\n\n" + "\n".join(bodies), "utf-8")
    return path

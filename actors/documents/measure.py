"""The sizes that cutting goes by, all derived from one: how long a section may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """`target` is the most characters a section may have; at least 40, so that the other sizes make sense."""

    target: int = 4_000

    def __post_init__(self) -> None:
        if self.target < 40:
            raise ValueError(f"a section of at most {self.target} characters is too short; give 40 or more")

    @property
    def least(self) -> int:
        """Characters below which neighbouring sections are put together."""
        return self.target // 10

    @property
    def least_part(self) -> int:
        """Characters that each side keeps when a long section is cut between its paragraphs."""
        return self.target // 4

    @property
    def line_bytes(self) -> int:
        """A longer line is handled in pieces."""
        return 2 * self.target

    @property
    def paragraph_bytes(self) -> int:
        """A longer paragraph is handled line by line."""
        return 4 * self.target

    @property
    def region_characters(self) -> int:
        """The most text that is held at once while its cuts are decided."""
        return 16 * self.target

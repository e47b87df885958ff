"""`.gitignore` files: the patterns that stand in a directory, in those above it, and in those on the way down."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

_FILE = ".gitignore"
_LARGEST_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Ignored:
    """Patterns by the directory they stand in, outermost first; the innermost that says anything decides."""

    patterns: tuple[tuple[Path, GitIgnoreSpec], ...] = ()

    def within(self, directory: Path) -> Ignored:
        """These and those that stand in `directory`."""
        found = _read(directory / _FILE)
        return Ignored((*self.patterns, (directory, found))) if found else self

    def matches(self, path: Path, *, is_directory: bool) -> bool:
        for directory, patterns in reversed(self.patterns):
            verdict = patterns.check_file(
                path.relative_to(directory).as_posix() + ("/" if is_directory else "")
            ).include
            if verdict is not None:
                return verdict
        return False


def ignored_above(directory: Path) -> Ignored:
    """The patterns that reach `directory` from its git repository's directories above; none outside a repository.

    A directory that they exclude was named all the same: then they do not count.
    """
    top = next((place for place in (directory, *directory.parents) if (place / ".git").exists()), None)
    if top is None or top == directory:
        return Ignored()
    patterns = Ignored()
    places = [place for place in reversed(directory.parents) if place == top or top in place.parents]
    for place in places:
        patterns = patterns.within(place)
    inside = [*places[1:], directory]
    return Ignored() if any(patterns.matches(place, is_directory=True) for place in inside) else patterns


def _read(path: Path) -> GitIgnoreSpec | None:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST_BYTES:
            return None
        return GitIgnoreSpec.from_lines(path.read_text("utf-8", "replace").splitlines())
    except OSError:
        return None  # it cannot be read: git does not heed it either

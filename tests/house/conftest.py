"""The house tests judge the tree as a whole: its rooms, its names, its sizes, its wheel."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("otel", "streams", "projections", "actors", "adapters", "dashboard", "cli")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def tracked(root: Path) -> list[Path]:
    """Every file that git tracks or would track, relative to the root; without the links to the rooms."""
    git = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(git, cwd=root, capture_output=True, text=True, check=True).stdout
    paths = sorted({Path(name) for name in listing.split("\0") if name})
    assert paths, "git lists no file: the house tests run in a clone"
    return [path for path in paths if (root / path).is_file() and not (root / path).is_symlink()]


@pytest.fixture(scope="session", autouse=True)
def no_bare_room_was_imported() -> Iterator[None]:
    """Judged when the whole run is over: a bare `import streams` makes a second copy of every class in it."""
    yield
    bare = [
        name
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in ROOMS and (getattr(module, "__file__", None) or "").startswith(str(ROOT))
    ]
    assert not bare, f"imported by their bare names, write roost.<room> instead: {sorted(bare)}"

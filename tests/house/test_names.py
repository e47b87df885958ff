"""Names that must not stand in the repository."""

import re
from pathlib import Path

import pytest

# In pieces, so that this file does not hold what it looks for.
FORBIDDEN_TEXT = {
    "a registry's host": [
        "pypi" + ".org",
        "python" + "hosted.org",
        "npm" + "js.",
        "crates" + ".io",
        "proxy." + "golang",
        "maven" + ".org",
        "deb." + "debian",
    ],
    "a path of one machine": ["/work" + "/", "/farm" + "/", "/root" + "/"],
    "the place it was made at": ["work" + "place"],
}
FORBIDDEN_NAMES = {"util", "utils", "helper", "helpers", "common", "base", "manager"}


def read_text(path: Path) -> str:
    """The file's text; nothing for a file that is not text."""
    content = path.read_bytes()
    return "" if b"\0" in content else content.decode("utf-8", errors="replace")


@pytest.mark.parametrize("what", FORBIDDEN_TEXT)
def test_no_file_names(what: str, root: Path, tracked: list[Path]) -> None:
    # A path starts at its slash: `tests/work/` is no path of a machine.
    patterns = [("(?<![\\w.])" if each.startswith("/") else "") + re.escape(each) for each in FORBIDDEN_TEXT[what]]
    forbidden = re.compile("|".join(patterns), re.IGNORECASE)
    found = [
        f"{path}:{number}: {line.strip()[:120]}"
        for path in tracked
        for number, line in enumerate(read_text(root / path).splitlines(), 1)
        if forbidden.search(line)
    ]
    assert found == []


def test_no_file_or_folder_has_a_name_that_says_nothing(tracked: list[Path]) -> None:
    parts = {(path, part.partition(".")[0]) for path in tracked for part in path.parts}
    assert sorted(str(path) for path, part in parts if part in FORBIDDEN_NAMES) == []

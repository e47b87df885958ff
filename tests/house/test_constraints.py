"""constraints.txt makes every machine install the same versions."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

MEND = "run `make lock` and commit constraints.txt"


def read_pins(root: Path) -> dict[str, str]:
    """Distribution name -> version, of lines `name==version`; any other line than those and remarks is a failure."""
    lines = [line for line in (root / "constraints.txt").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line)] == []
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def list_declared(root: Path) -> list[Requirement]:
    """What pyproject.toml asks for: the core and every extra."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(each) for requirements in lists for each in requirements]


def list_needed(root: Path) -> set[str]:
    """Names of all distributions that Roost needs on this machine, dependencies of dependencies too."""
    waiting = list_declared(root)
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name == "roost" or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        asked = {(name, extra) for extra in ("", *requirement.extras)} - seen
        seen |= asked
        below = [Requirement(each) for each in importlib.metadata.requires(name) or []]
        for _, extra in asked:
            met = [each for each in below if each.marker is None or each.marker.evaluate({"extra": extra})]
            # A marker is met for good here: judged again without the extra, it would not be.
            waiting += [Requirement(str(each).partition(";")[0]) for each in met]
    return {name for name, _ in seen}


def test_every_distribution_that_is_needed_is_pinned(root: Path) -> None:
    assert sorted(list_needed(root) - set(read_pins(root))) == [], MEND


def test_every_pin_fits_what_pyproject_asks_for(root: Path) -> None:
    pins = read_pins(root)
    known = [each for each in list_declared(root) if canonicalize_name(each.name) in pins]
    unfit = [
        f"{each}: {pins[canonicalize_name(each.name)]}"
        for each in known
        if pins[canonicalize_name(each.name)] not in each.specifier
    ]
    assert unfit == [], MEND

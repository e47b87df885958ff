"""The rooms are one package: reached by one name, importing one way, loading nothing that was not asked for."""

import importlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("otel", "streams", "projections", "actors", "adapters", "dashboard", "cli")


def name_modules() -> list[str]:
    """`roost.streams.event` for streams/event.py, and so on; not `__main__`, which acts when it is imported."""
    paths = [path.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    names = [".".join(("roost", *path.with_suffix("").parts)) for path in paths if path.stem != "__main__"]
    return sorted(name.removesuffix(".__init__") for name in names)


def list_loaded(statement: str, place: Path) -> set[str]:
    """The modules that a fresh interpreter loads for `statement`, beyond what it loads anyway."""
    code = f"import json, sys; before = set(sys.modules); {statement}; print(json.dumps([*set(sys.modules) - before]))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stdout))


def order_as_ruff(name: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def list_public(room: ModuleType) -> set[str]:
    """The room's own names that anyone can see; submodules and what it imported from other packages are not its own."""
    own = {
        name
        for name, value in vars(room).items()
        if not isinstance(value, ModuleType) and str(getattr(value, "__module__", "roost")).startswith("roost")
    }
    return {name for name in own if not name.startswith("_")} - {"TYPE_CHECKING"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_a_relative_link_so_that_the_tree_can_be_moved(room: str) -> None:
    assert (ROOT / "src" / "roost" / room).readlink() == Path("../..") / room


def test_every_folder_with_modules_is_a_package() -> None:
    # import-linter passes over a folder that has no __init__.py, and whatever is in it may import anything.
    folders = {path.parent for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    assert [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize("name", name_modules())
def test_every_module_can_be_imported_by_its_full_name(name: str) -> None:
    assert importlib.import_module(name).__name__ == name


@pytest.mark.parametrize("name", ["roost", *(f"roost.{room}" for room in ROOMS)])
def test_all_is_sorted_and_holds_what_is_public_in_reality(name: str) -> None:
    room = importlib.import_module(name)
    exported: list[str] = list(getattr(room, "__all__", []))
    assert exported == sorted(set(exported), key=order_as_ruff)
    # A submodule of the same name hides the class or function as soon as somebody imports it.
    assert [each for each in exported if isinstance(getattr(room, each), ModuleType)] == []
    assert list_public(room) - set(exported) == set()


def test_importing_roost_loads_no_room_and_no_library(tmp_path: Path) -> None:
    loaded = list_loaded("import roost", tmp_path)
    assert "roost" in loaded
    assert {name for name in loaded if name.startswith("roost.")} == set()
    assert {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names) == {"roost"}


def test_the_names_of_the_front_door_are_found_when_they_are_asked_for(tmp_path: Path) -> None:
    loaded = list_loaded("from roost import Actor, Flock, event, on", tmp_path)
    assert "roost.actors" in loaded
    assert {"openai", "sumy", "numpy", "click"} & loaded == set()  # not rich: structlog loads it where it is installed


def test_a_name_that_is_not_there_is_refused_as_by_any_module() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = importlib.import_module("roost").no_such_name


def test_otel_needs_only_the_api_until_tracing_is_set_up(tmp_path: Path) -> None:
    loaded = list_loaded("import roost.otel", tmp_path)
    assert {name for name in loaded if name.startswith("opentelemetry.sdk")} == set()


def test_rooms_import_only_rooms_to_their_left() -> None:
    # import-linter judges what this graph holds: a room that it does not see through its link would pass unjudged.
    assert set(name_modules()) <= set(grimp.build_graph("roost", cache_dir=None).modules)
    linter = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_version_is_the_same_in_both_places() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert importlib.import_module("roost").__version__ == project["version"]

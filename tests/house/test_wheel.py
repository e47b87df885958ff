"""What users install: the wheel, built through the sdist, in an environment far from this repository."""

import json
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.wheel

ROOMS = ("otel", "streams", "projections", "actors", "adapters", "dashboard", "cli")
IMPORT_ALL = """
import importlib, json, pkgutil, roost
found = pkgutil.walk_packages(roost.__path__, "roost.")
names = [module.name for module in found if not module.name.endswith("__main__")]
print(json.dumps({name: importlib.import_module(name).__file__ for name in ["roost", *names]}))
"""


def run(*command: str | Path, cwd: Path) -> str:
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def built(root: Path, tracked: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one sdist and one wheel, built from the files that git knows, so that no stray file mends them."""
    source = tmp_path_factory.mktemp("source")
    for path in tracked:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / path, source / path)
    for room in ROOMS:
        (source / "src" / "roost" / room).symlink_to((root / "src" / "roost" / room).readlink())
    # Without isolation, so without a network; the wheel is built from the unpacked sdist.
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", source / "dist", source, cwd=source)
    return source / "dist"


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel; it borrows the dependencies, but no editable Roost, from this one."""
    place = tmp_path_factory.mktemp("installed") / "env"
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    wheel = next(built.glob("*.whl"))
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=place)
    [packages] = place.glob("lib/python*/site-packages")
    # The .pth files of a folder that a .pth file names are not read: the editable install stays outside.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return place


def test_the_wheel_holds_every_file_of_every_room(built: Path, tracked: list[Path]) -> None:
    expected = {f"roost/{path}" for path in tracked if path.parts[0] in ROOMS}
    expected |= {str(path.relative_to("src")) for path in tracked if path.parts[0] == "src"}
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == expected, "data files need a pattern in [tool.setuptools.package-data] of pyproject.toml"
    assert {"roost/py.typed", "roost/__init__.py"} <= held


def test_the_sdist_holds_files_where_the_repository_holds_links(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        members = sdist.getmembers()
    assert [member.name for member in members if member.issym() or member.islnk()] == []
    assert any(member.name.endswith("/src/roost/streams/__init__.py") for member in members)


def test_every_module_of_the_wheel_can_be_imported_far_from_the_repository(installed: Path, tmp_path: Path) -> None:
    files: dict[str, str | None] = json.loads(run(installed / "bin" / "python", "-I", "-c", IMPORT_ALL, cwd=tmp_path))
    assert {f"roost.{room}" for room in ROOMS} <= set(files)
    outside = {name: file for name, file in files.items() if file and not Path(file).is_relative_to(installed)}
    assert outside == {}


def test_the_command_of_the_wheel_answers(installed: Path, tmp_path: Path) -> None:
    assert "Usage" in run(installed / "bin" / "roost", "--help", cwd=tmp_path)


def test_pytest_finds_the_fixture_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text("def test_one(replayed_run):\n    assert callable(replayed_run)\n")
    quiet = ("-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-W", "ignore")
    assert "1 passed" in run(installed / "bin" / "python", "-I", "-m", "pytest", *quiet, "test_one.py", cwd=tmp_path)

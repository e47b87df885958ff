"""`roost export` and `roost import`: a run moves in one file, and is elsewhere what it was."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from roost_tests.command import Ran

from roost.cli.main import main
from roost.streams import Event, Position
from roost.streams.run_file import RunFileWriter
from roost.streams.run_file.header import Header
from roost.streams.run_file.part import Part

PAGE = "# Owls\n\nBarn owls hunt by ear, {0}. They find a mouse in the dark.\n\n## Food\n\nMice and voles, {0}.\n"
Roost = Callable[..., Ran]


@pytest.fixture
def roost(
    tmp_path: Path,
    server_url: str,
    flock_name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Roost:
    """The command, without a process of its own for each: there are many here."""
    monkeypatch.setenv("ROOST_URL", server_url)
    monkeypatch.setenv("ROOST_FLOCK", flock_name)
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(words)
        said = capsys.readouterr()
        return Ran(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def ran(roost: Roost, tmp_path: Path) -> str:
    """The ID of a run in the test's flock."""
    for number in range(2):
        (tmp_path / f"owls{number}.md").write_text(PAGE.format(number), "utf-8")
    ran = roost("run", "owls0.md", "owls1.md", "-q", "How do owls hunt?", "--json")
    assert ran.code == 0, ran.err
    return str(ran.json["run"])


def _of_the_run(document: Any) -> Any:
    return {name: value for name, value in document.items() if name not in ("flock", "made_ms")}


def test_a_run_that_was_moved_is_what_it_was(
    roost: Roost, ran: str, tmp_path: Path, flock_name: str, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = roost("export", ran[:8], "run.roost", "--json")
    assert (exported.code, exported.json["run"], exported.json["forgotten"]) == (0, ran, 0), exported.err
    there = ("--flock", f"{flock_name}-there")
    imported = roost("import", "run.roost", *there)
    assert (imported.code, ran[:8] in imported.out) == (0, True), imported.err
    assert f"roost report --flock {flock_name}-there" in imported.err

    for words in (("report", "--json"), ("notes", "--json"), ("log", "--json", "--run", ran)):
        here, moved = roost(*words), roost(*words, *there)
        assert (moved.code, bool(moved.out)) == (0, True)
        if words[0] == "report":
            assert _of_the_run(moved.json) == _of_the_run(here.json)
        elif words[0] == "log":
            assert moved.json_lines == here.json_lines
        else:
            assert [_aged(note) for note in moved.json_lines] == [_aged(note) for note in here.json_lines]
    verified = roost("verify", "--content", "--json", *there)
    assert (verified.code, verified.json["causes_checked"], verified.json["odd"]) == (0, False, 0), verified.out
    assert "an imported run" in (roost("verify", *there)).err

    again = roost("import", "run.roost", *there)
    assert (again.code, f"is in flock {flock_name}-there already" in again.err) == (1, True)
    occupied = roost("import", "run.roost", "--flock", flock_name)
    assert (occupied.code, "has events already" in occupied.err) == (1, True)
    checked = roost("replay", "--check", "--json", *there)
    assert checked.code == 0, checked.err

    monkeypatch.setenv("ROOST_URL", "redis://127.0.0.1:1")  # a file needs no server
    filed = roost("replay", "run.roost", "--check", "--json")
    assert (filed.code, filed.json) == (0, checked.json)
    assert (roost("replay", "none.roost", "--check").code, roost("replay", "latest", "--check").code) == (1, 1)
    monkeypatch.setenv("ROOST_URL", server_url)

    # A run exported from there is the same run.
    assert (roost("export", "latest", "again.roost", *there)).code == 0
    first, *lines = gzip.decompress((tmp_path / "run.roost").read_bytes()).split(b"\n")
    other, *same = gzip.decompress((tmp_path / "again.roost").read_bytes()).split(b"\n")
    assert (first != other, lines[:-2]) == (True, same[:-2])


def _aged(note: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in note.items() if name not in ("expires_in_s", "age_s")}


def test_what_cannot_be_exported_is_told_in_a_sentence(roost: Roost, ran: str, tmp_path: Path) -> None:
    (tmp_path / "mine.roost").write_text("mine")
    (tmp_path / "folder").mkdir()
    for words, sentence in {
        ("export", "latest", "mine.roost"): "is there already: take another name, or --force",
        ("export", "latest", "folder"): "folder is a directory: name a file in it",
        ("export", "latest", "no/such/run.roost"): "cannot be written: No such file or directory",
        ("export", "latest", "/dev/full", "--force"): "/dev/full cannot be written: No space left on device",
        ("export", "zzz", "run.roost"): "no run of flock",
    }.items():
        failed = roost(*words)
        assert (failed.code, failed.out, failed.err.count("\n"), sentence in failed.err) == (1, "", 1, True), failed.err
    assert (tmp_path / "mine.roost").read_text() == "mine"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "mine.roost", "owls0.md", "owls1.md"]
    assert (roost("export", ran, "mine.roost", "--force")).code == 0
    assert (roost("export", "latest", "run.roost", "--compress")).code == 2
    assert (roost("export", "latest")).code == 2


def test_what_cannot_be_imported_is_told_in_a_sentence_and_makes_no_flock(roost: Roost, tmp_path: Path) -> None:
    with RunFileWriter(tmp_path / "run.roost", Header("r1", "owls")) as file:
        for number in range(100):
            place = Position(0, 1_700_000_000_000, number)
            file.add(Event(type="t", subject="s", run="r1", version=number, position=place), Part.RUN)
        file.finish()
    whole = (tmp_path / "run.roost").read_bytes()
    (tmp_path / "owls.md").write_text(PAGE)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    (tmp_path / "short").write_bytes(whole[: len(whole) // 2])
    newer = gzip.decompress(whole).replace(b'"format":1', b'"format":2', 1)
    (tmp_path / "newer").write_bytes(gzip.compress(newer))
    for words, sentence in {
        ("none",): "there is no file none",
        (".",): ". is a directory",
        ("empty",): "empty is empty: it is no recorded run",
        ("binary",): "binary is no recorded run",
        ("owls.md",): "owls.md is no recorded run",
        ("short",): "short is damaged: its end is missing",
        ("newer",): "written by a newer Roost (format 2; this one reads 1): update Roost",
        ("run.roost", "--max-bytes", "4kb"): "unpacks to more than 4,096 bytes",
    }.items():
        failed = roost("import", *words)
        assert (failed.code, failed.out, failed.err.count("\n"), sentence in failed.err) == (1, "", 1, True), failed.err
    assert (roost("import", "run.roost", "--max-bytes", "much")).code == 2
    assert (roost("import", "run.roost", "--into", "x")).code == 2
    assert (roost("import", "run.roost", "--flock", "a b")).code == 2

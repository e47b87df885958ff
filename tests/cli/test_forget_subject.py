"""`roost forget --subject`: as people give it, on an encrypted flock of Roost's own server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from roost_tests.command import RoostCommand

from roost.actors import Flock

LETTER = "Ada writes that owls hunt at night."


def files_with(canary: bytes, place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if path.is_file() and canary in path.read_bytes()]


@pytest.fixture
async def letters(roost_at_home: RoostCommand, tmp_path: Path) -> AsyncIterator[Flock]:
    async with Flock.open(home=tmp_path / "home", encrypted=True) as flock:
        yield flock


@pytest.fixture
async def letter(letters: Flock) -> str:
    return (await letters.memory.put(LETTER, key="letter", about=["ada", "owls"])).id


async def test_all_about_somebody_is_forgotten_by_a_command(
    roost_at_home: RoostCommand, letters: Flock, letter: str
) -> None:
    await letters.memory.put("Owls hunt.", key="short", sources=[letter])
    shown = await roost_at_home("note", "letter")
    assert LETTER in shown.out
    assert "under 2 keys together" in shown.out
    listed = await roost_at_home("status")
    assert "Encrypted" in listed.out
    asked = await roost_at_home.on_terminal("forget", "--subject", "ada", typed=b"n\n")
    assert "2 notes are about them" in asked.out
    assert asked.code == 1
    done = await roost_at_home("forget", "--subject", "ada", "--yes")
    assert (done.code, done.out) == (0, "forgot 'ada': its key is destroyed, and 2 notes of the memory are gone\n")
    again = await roost_at_home("forget", "--subject", "ada", "--yes", "--json")
    assert again.json["subject"] == "ada"
    assert (again.json["key_destroyed"], again.json["notes"]) == (False, 0)
    assert await letters.memory.find("short") is None
    gone = await roost_at_home("note", "letter")
    assert (gone.code, gone.out) == (1, "")


async def test_a_wrong_name_forgets_nobody_and_says_so(roost_at_home: RoostCommand, letter: str) -> None:
    done = await roost_at_home("forget", "--subject", "adda", "--yes")
    assert (done.code, done.err) == (1, "roost: flock 'default' knows nothing about 'adda': nothing was forgotten\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("forget", "--yes"), "say what to forget"),
        (("forget", "x", "--subject", "ada", "--yes"), "say what to forget"),
        (("forget", "--subject", "ada"), "add --yes"),
    ],
)
async def test_what_is_to_be_forgotten_is_said_clearly(
    roost_at_home: RoostCommand, words: tuple[str, ...], told: str
) -> None:
    done = await roost_at_home(*words)
    assert done.code == 2
    assert told in done.err


async def test_where_the_keys_are_not_nothing_is_read_and_nothing_lost(
    roost_at_home: RoostCommand, letters: Flock, letter: str, tmp_path: Path
) -> None:
    for words in (("note", "letter"), ("forget", "--subject", "ada", "--yes")):
        done = await roost_at_home(*words, ROOST_KEYS=str(tmp_path / "elsewhere"))
        assert done.code in (1, 2)
        assert "ROOST_KEYS" in done.err
        assert len(done.err.splitlines()) == 1
    assert (await letters.memory.get(letter)).text == LETTER


async def test_without_encryption_there_is_nobody_to_forget(roost_at_home: RoostCommand, tmp_path: Path) -> None:
    async with Flock.open(home=tmp_path / "home"):
        done = await roost_at_home("forget", "--subject", "ada", "--yes")
    assert done.code in (1, 2)
    assert "is not encrypted" in done.err


@pytest.mark.parametrize("value", ["yes", "2", "true"])
async def test_whether_flocks_are_encrypted_is_1_or_0(roost_at_home: RoostCommand, value: str) -> None:
    done = await roost_at_home("notes", ROOST_ENCRYPTED=value)
    assert (done.code, done.err.count("ROOST_ENCRYPTED")) == (2, 1)


async def test_a_run_in_an_encrypted_flock_stores_nothing_that_can_be_read(
    roost_at_home: RoostCommand, tmp_path: Path
) -> None:
    (tmp_path / "owls.md").write_text("# Owls\n\nOwls hunt at night, says the canary-58f2. They hear very well.\n")
    done = await roost_at_home("run", str(tmp_path / "owls.md"), ROOST_ENCRYPTED="1")
    assert done.code == 0, done.err
    assert "canary-58f2" in done.out
    assert not [
        path for path in (tmp_path / "home").rglob("*") if path.is_file() and b"canary-58f2" in path.read_bytes()
    ]

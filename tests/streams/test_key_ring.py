"""Keys of contents in files: made once, shared by processes, destroyed for ever."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.streams.encryption.choosing import choose_ring
from roost.streams.encryption.file_ring import FileRing
from roost.streams.encryption.ring import NoKey, SubjectKey
from roost.streams.encryption.sealed import Head, Ref, seal, unseal
from roost.streams.encryption.vault import Vault
from roost.streams.errors import LimitExceeded, SettingsError, SubjectForgotten

VAULT, NAME = "ab" * 8, "cd" * 12


@pytest.fixture
def ring(tmp_path: Path) -> FileRing:
    return FileRing(tmp_path / "keys")


def all_in(place: Path) -> bytes:
    return b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())


async def vault_in(place: Path) -> Vault:
    return await Vault.make(FileRing(place), str(place))


async def test_a_key_is_made_once_and_only_its_owner_can_read_it(ring: FileRing) -> None:
    made = await ring.make(VAULT, NAME)
    assert await ring.make(VAULT, NAME) == await ring.find(VAULT, NAME) == made
    assert len(made.secret) == 32
    assert "secret" not in repr(made)
    path = ring.place / VAULT / NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_processes_that_make_a_key_at_the_same_moment_have_the_same_one(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path; from roost.streams.encryption.file_ring import FileRing\n"
        f"key = asyncio.run(FileRing(Path({str(tmp_path)!r})).make({VAULT!r}, {NAME!r}))\n"
        "sys.stdout.write(key.secret.hex())"
    )
    started = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
        for _ in range(4)
    ]
    said = {(await process.communicate())[0] for process in started}
    assert len(said) == 1
    assert len(said.pop()) == 64


async def test_a_destroyed_key_is_in_no_file_and_in_no_process_any_more(tmp_path: Path) -> None:
    ring, other = FileRing(tmp_path), FileRing(tmp_path)
    made = await ring.make(VAULT, NAME)
    assert await other.find(VAULT, NAME) == made
    assert await ring.destroy(VAULT, NAME)
    assert not await ring.destroy(VAULT, NAME)
    assert await other.find(VAULT, NAME) == NoKey((made.id,))  # though it had it in memory
    kept = all_in(tmp_path)
    assert made.secret not in kept
    assert made.id in kept
    again = await other.make(VAULT, NAME)
    assert again.secret != made.secret
    assert again.destroyed == (made.id,)
    assert await ring.find(VAULT, NAME) == again


async def test_a_key_that_was_never_there_is_not_destroyed(ring: FileRing) -> None:
    assert await ring.find(VAULT, NAME) == NoKey()
    assert not await ring.destroy(VAULT, NAME)


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"roost-key-1\n", b"roost-key-1\n" + bytes(41), b"\xff" * 70_000]
)
async def test_a_file_that_holds_no_key_is_told_of_by_its_name(ring: FileRing, content: bytes) -> None:
    await ring.make(VAULT, NAME)
    (ring.place / VAULT / NAME).write_bytes(content)
    with pytest.raises(SettingsError, match=f"{NAME} holds no key"):
        await ring.find(VAULT, NAME)


async def test_a_directory_that_cannot_be_made_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="ROOST_KEYS"):
        await FileRing(tmp_path / "file").make(VAULT, NAME)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device")
async def test_a_key_on_a_full_disk_is_not_said_to_be_made(ring: FileRing) -> None:
    (ring.place / VAULT).mkdir(parents=True)
    (ring.place / VAULT / f".{NAME}.new").symlink_to("/dev/full")
    with pytest.raises(SettingsError, match="no space left"):
        await ring.make(VAULT, NAME)
    assert await ring.find(VAULT, NAME) == NoKey()


@pytest.mark.parametrize("name", ["../../etc", "", "a/b", "."])
async def test_no_name_leads_out_of_the_vault(ring: FileRing, name: str) -> None:
    with pytest.raises(SettingsError):
        await ring.make(VAULT, name)


@given(st.binary(max_size=300), st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_what_is_sealed_is_opened_by_all_its_keys_only(raw: bytes, one: bytes, two: bytes) -> None:
    refs = [Ref(b"a" * 12, b"1" * 8), Ref(b"b" * 12, b"2" * 8)]
    stored = seal(raw, VAULT, list(zip(refs, (one, two), strict=True)))
    head = Head.of(stored)
    assert head is not None
    assert head.vault == VAULT
    assert list(head.refs) == refs
    assert unseal(stored, head, [one, two]) == raw
    assert stored == seal(raw, VAULT, list(zip(refs, (one, two), strict=True)))
    for wrong in ([one], [two], [two, one] if one != two else [one]):
        with pytest.raises(ValueError, match="not its keys"):
            unseal(stored, head, wrong)
    for at in (8, 20, len(stored) - 1):
        changed = bytearray(stored)
        changed[at] ^= 1
        found = Head.of(bytes(changed))
        if found is not None:
            with pytest.raises(ValueError, match="changed"):
                unseal(bytes(changed), found, [one, two])


@given(st.binary(max_size=100))
def test_bytes_that_are_not_sealed_are_not_taken_for_it(raw: bytes) -> None:
    assert Head.of(raw) is None
    cut = seal(raw, VAULT, [(Ref(b"a" * 12, b"1" * 8), b"k" * 32)])
    assert Head.of(cut[:60]) is None


async def test_equal_contents_of_two_subjects_have_nothing_in_common(tmp_path: Path) -> None:
    vault = await vault_in(tmp_path)
    [one], [two] = [await vault.refs_of([who]) for who in ("ada", "bob")]
    first, about = await vault.seal(b"the same", [one])
    second, _ = await vault.seal(b"the same", [two])
    assert first != second
    assert first[49:] != second[49:]
    assert (await vault.seal(b"the same", [one]))[0] == first
    assert about == (str(one),)
    assert b"ada" not in first


async def test_what_is_about_two_is_gone_with_one_of_them(tmp_path: Path) -> None:
    vault = await vault_in(tmp_path)
    stored, _ = await vault.seal(b"of both", await vault.refs_of(["ada", "bob"]))
    head = Head.of(stored)
    assert head is not None
    assert await vault.open(stored, head) == b"of both"
    await vault.destroy(await vault.name_of("bob"))
    with pytest.raises(SubjectForgotten):
        await vault.open(stored, head)
    with pytest.raises(SubjectForgotten):
        await vault.seal(b"more", head.refs)


async def test_another_ring_is_not_taken_for_one_whose_keys_were_destroyed(tmp_path: Path) -> None:
    vault = await vault_in(tmp_path / "here")
    stored, _ = await vault.seal(b"here", await vault.refs_of(["ada"]))
    head = Head.of(stored)
    assert head is not None
    there = Vault(vault.id, FileRing(tmp_path / "there"), "there")
    with pytest.raises(SettingsError, match="are not in there"):
        await there.open(stored, head)
    await FileRing(tmp_path / "there").make(vault.id, "names", SubjectKey(b"8" * 8, b"k" * 32))
    with pytest.raises(SettingsError, match="are not in there"):
        await there.check()


async def test_a_note_is_about_a_bounded_number_of_subjects(tmp_path: Path) -> None:
    vault = await vault_in(tmp_path)
    refs = [Ref(number.to_bytes(12, "big"), b"1" * 8) for number in range(257)]
    with pytest.raises(LimitExceeded, match="up to 256"):
        await vault.seal(b"", refs)
    with pytest.raises(LimitExceeded, match="512 bytes"):
        await vault.name_of("x" * 513)


def make_own() -> FileRing:
    return FileRing(Path("own"))


def test_a_program_brings_a_key_ring_of_its_own() -> None:
    ring = choose_ring(
        "tests.streams.test_key_ring:make_own" if __name__.startswith("tests") else f"{__name__}:make_own"
    )
    assert isinstance(ring, FileRing)


@pytest.mark.parametrize("place", ["no_such_module:ring", "json:dumps", "os:getpid"])
def test_what_gives_no_key_ring_is_told_of(place: str) -> None:
    with pytest.raises(SettingsError, match="gives no key ring"):
        choose_ring(place)

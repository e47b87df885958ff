"""`roost notes`, `note` and `forget`."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from roost_tests.command import RoostCommand
from roost_tests.waiting import wait_until

from roost.actors import Computed, Flock, Work, fingerprint
from roost.cli.live_notes import NoteFilter, list_notes
from roost.cli.terminal import foreign
from roost.streams import Event, Note, NoteRecord

EVIL = "a\x1b]0;owned\x07b\x9b31m\u202ec\n[bold red]d[/] é"


async def events_of(flock: Flock, kind: str) -> list[Event]:
    return [event async for event in flock.log.read() if event.type == kind]


async def list_all(flock: Flock, wanted: NoteFilter) -> list[str]:
    return [note.record.id async for note in list_notes(flock.shard, wanted)]


async def test_notes_lists_what_lives_newest_first_and_logs_no_read(roost: RoostCommand, flock: Flock) -> None:
    async with flock.acting("Reader", run="5e" * 12):
        page = await flock.memory.put("page", key="page/1", tags=("page", "[red]x[/]"))
    async with flock.acting("Writer"):
        forever = await flock.memory.put({"a": 1}, ttl=None, sources=())
        brief = await flock.memory.put("brief", ttl=timedelta(milliseconds=1))
        secret = await flock.memory.put("secret")
        await flock.memory.forget(secret.id)
    table, as_json, one, none = await asyncio.gather(
        roost("notes"), roost("notes", "--json"), roost("notes", "--limit", "1"), roost("notes", "--tag", "no")
    )
    assert [line["id"] for line in as_json.json_lines] == [forever.id, page.id]
    assert brief.id not in table.out
    first, second = as_json.json_lines
    assert (first["expires_in_s"], first["form"], first["author"]) == (None, "json", "Writer")
    assert second["expires_in_s"] > 29 * 86_400
    assert (second["key"], second["tags"], second["run"]) == ("page/1", ["page", "[red]x[/]"], "5e" * 12)
    lines = table.out.splitlines()
    assert lines[0].split() == ["ID", "Key", "Author", "Size", "Age", "Expires", "in", "Tags"]
    assert lines[1].startswith(forever.id[:8])
    assert "never" in lines[1]
    assert lines[2].endswith("page, [red]x[/]")
    assert len(one.out.splitlines()) == 2
    assert "--limit" in one.err
    assert none.err.endswith("has no notes of that kind\n")
    assert await events_of(flock, "note.read") == []


async def test_notes_are_chosen_by_key_tags_author_and_run(flock: Flock) -> None:
    async with flock.acting("Reader", run="5e" * 12):
        one = await flock.memory.put("1", key="page/1", tags=("a", "b"))
    async with flock.acting("Writer", run="7a" * 12):
        two = await flock.memory.put("2", key="book/1", tags=("a",))
        three = await flock.memory.put("3")
    assert await list_all(flock, NoteFilter()) == [three.id, two.id, one.id]
    assert await list_all(flock, NoteFilter(prefix="page/")) == [one.id]
    assert await list_all(flock, NoteFilter(tags=("a",))) == [two.id, one.id]
    assert await list_all(flock, NoteFilter(tags=("a", "b"))) == [one.id]
    assert await list_all(flock, NoteFilter(author="Writer")) == [three.id, two.id]
    assert await list_all(flock, NoteFilter(run="5e", author="Writer")) == []


async def test_an_event_that_only_looks_like_a_note_is_not_listed(flock: Flock) -> None:
    odd = Event(type="note.written", subject="note/x", body=b'{"note": 7}')
    never = Event(type="note.written", subject="note/y", body=NoteRecord(id="y", digest="d", size=1).to_json())
    await flock.append(odd, never)
    assert await list_all(flock, NoteFilter()) == []


async def test_a_note_is_shown_by_the_beginning_of_its_id_or_its_key_and_the_read_is_logged(
    roost: RoostCommand, flock: Flock
) -> None:
    async def compute() -> Computed:
        return Computed("the sum", Work(kind="summary", model="offline", calls=1, input_tokens=1200, output_tokens=9))

    source = await flock.memory.put("the source", key="page/1")
    note = await flock.memory.once(fingerprint("sum", source.id), compute, tags=("sums",))
    card, as_json, raw, ambiguous, wrong = await asyncio.gather(
        roost("note", note.id[:10]),
        roost("note", "page/1", "--json"),
        roost("note", note.id, "--raw"),
        roost("note", ""),
        roost("note", note.id, "--raw", "--json"),
    )
    assert "the sum" in card.out.splitlines()
    assert "summary by offline, " in card.out
    assert "1 call, 1,200 + 9 tokens, price unknown" in card.out
    assert as_json.json["id"] == source.id
    assert as_json.json["content"] == "the source"
    assert raw.out == "the sum"
    assert (ambiguous.code, wrong.code) == (1, 2)
    reads = [event for event in await events_of(flock, "note.read") if event.actor == "cli"]
    assert sorted(event.data["note"] for event in reads) == sorted([note.id, source.id, note.id])


async def test_nothing_from_a_note_reaches_the_terminal_raw(roost: RoostCommand, flock: Flock) -> None:
    contents: list[Any] = [EVIL, {"key": EVIL, EVIL: [EVIL]}, EVIL.encode() * 3, b"\x00\x01\x1b[2J\xff" * 9]
    notes: list[Note] = []
    async with flock.acting(EVIL, run=EVIL):
        for number, content in enumerate(contents):
            notes.append(await flock.memory.put(content, key=f"{number}/{EVIL}", tags=(EVIL,)))
    text, json, _, binary = [note.id for note in notes]
    shown = await asyncio.gather(
        *[roost.on_terminal("note", note.id) for note in notes],
        roost.on_terminal("note", binary, "--raw"),
        roost.on_terminal("note", text, "--lineage"),
        roost("note", json, "--json", "--lineage"),
        roost("notes"),
    )
    for ran in shown:
        assert ran.code == 0
        assert ran.out
        assert ran.danger == []
    assert (shown[6].json["author"], shown[6].json["content"]) == (EVIL, contents[1])
    assert "63 bytes that are no text" in shown[3].out


async def test_raw_bytes_go_through_a_pipe_unchanged_and_long_text_is_abridged_on_a_terminal_only(
    roost: RoostCommand, flock: Flock
) -> None:
    evil = await flock.memory.put(EVIL.encode() + b"\xff\x00")
    long = await flock.memory.put("\n".join(f"line {number}" for number in range(5000)))
    process = await roost.start("note", evil.id, "--raw")
    piped, terminal = await asyncio.gather(roost("note", long.id), roost.on_terminal("note", long.id))
    out, _ = await process.communicate()
    assert out == EVIL.encode() + b"\xff\x00"
    assert "line 4999" in piped.out
    assert "line 39\r\n" in terminal.out
    assert "line 41" not in terminal.out
    assert "more characters; --raw prints all" in terminal.out


async def test_lineage_shows_sources_what_was_built_and_who_used_it_even_of_a_forgotten_note(
    roost: RoostCommand, flock: Flock
) -> None:
    async with flock.acting("Reader"):
        page = await flock.memory.put("page", key="page/1")
    async with flock.acting("Writer", run="5e" * 12):
        await flock.memory.get(page.id)
        chapter = await flock.memory.put("chapter")
    async with flock.acting("Editor"):
        await flock.memory.get(chapter.id)
        book = await flock.memory.put("book")
    (before, as_json) = await asyncio.gather(
        roost("note", chapter.id, "--lineage"), roost("note", chapter.id, "--lineage", "--json")
    )
    made, built = before.out.split("Made from\n")[1].split("Built on it\n")
    assert made.startswith(f"└─ {page.id[:8]}  page/1  by Reader")
    assert built.startswith(f"└─ {book.id[:8]}  by Editor")
    assert "Editor read it once" in built
    assert as_json.json["lineage"]["sources"][0]["note"] == page.id
    assert as_json.json["content"] == "chapter"
    await flock.memory.forget(chapter.id)
    after = await roost("note", chapter.id[:12], "--lineage")
    assert "it was forgotten" in after.out
    assert f"└─ {page.id[:8]}" in after.out
    assert (await roost("note", chapter.id)).code == 1


async def test_forget_asks_on_a_terminal_and_otherwise_wants_a_yes(roost: RoostCommand, flock: Flock) -> None:
    note = await flock.memory.put("private", key=f"key/{EVIL}")
    refused, left, silent = await asyncio.gather(
        roost.on_terminal("forget", note.id[:8], typed=b"n\n"),
        roost.on_terminal("forget", note.id[:8], interrupt_at="[y/N]"),
        roost("forget", note.id),
    )
    assert (refused.code, left.code) == (1, 130)
    assert left.out.endswith("roost: interrupted\r\n")
    assert f"Forget note {note.id[:8]} (key/a\\x1b" in refused.out
    assert refused.danger == []
    assert (silent.code, silent.out) == (2, "")
    assert "--yes" in silent.err
    assert (await flock.memory.get(note.id)).content == "private"

    agreed = await roost.on_terminal("forget", note.id[:8], typed=b"y\n")
    assert agreed.code == 0
    assert f"forgot note {note.id}" in agreed.out
    [event] = await events_of(flock, "note.forgotten")
    assert event.actor == "cli"
    await wait_until(lambda: _is_gone(flock, note.id))
    again = await roost("forget", note.id, "--yes")
    assert again.code == 1


async def _is_gone(flock: Flock, note_id: str) -> bool:
    return not [one async for one in list_notes(flock.shard, NoteFilter()) if one.record.id == note_id]


def test_text_of_others_is_one_line_without_markup() -> None:
    assert foreign("[red]a[/]\nb\tc\x1b").plain == "[red]a[/]\\nb c\\x1b"


async def test_labels_of_trust_are_shown_wherever_notes_are(roost: RoostCommand, flock: Flock) -> None:
    page = await flock.memory.put("owls hunt", key="page", trust="untrusted", sources=())
    made = await flock.memory.put("owls", key="made", sources=[page.id], trust="trusted", vouched=True)
    table, listed, card, as_json, lineage, found = await asyncio.gather(
        roost("notes"), roost("notes", "--json"), roost("note", made.id), roost("note", page.id, "--json"),
        roost("note", made.id, "--lineage"), roost("notes", "--search", "owls"),
    )  # fmt: skip
    assert table.out.splitlines()[0].split() == ["ID", "Key", "Author", "Trust", "Size", "Age", "Expires", "in", "Tags"]
    assert [(line["trust"], line["vouched"]) for line in listed.json_lines] == [("trusted", True), ("untrusted", False)]
    assert "trusted, vouched for by tester" in card.out
    assert (as_json.json["trust"], as_json.json["vouched"]) == ("untrusted", False)
    assert any(page.id[:8] in line and "untrusted" in line for line in lineage.out.splitlines())
    assert "Trust" in found.out.splitlines()[0]

"""`roost notes --search` and `roost rebuild search`."""

from __future__ import annotations

from roost_tests.command import RoostCommand

from roost.actors import Flock

EVIL = "owls\x1b]0;owned\x07b\x9b31m\u202e [bold red]d[/]"


async def test_notes_with_some_words_are_listed_best_first_and_nothing_is_logged(
    roost: RoostCommand, flock: Flock
) -> None:
    async with flock.acting("Writer"):
        both = await flock.memory.put("Wrens sing. Owls do not.", key="both", tags=["page"])
    owls = await flock.memory.put(EVIL, key="owls")
    await flock.memory.put("Herons fish.", key="herons")
    before = await flock.log.length()
    table = await roost("notes", "--search", "an owl")
    assert (table.code, table.danger) == (0, [])
    lines = table.out.splitlines()
    assert lines[0].split() == ["ID", "Score", "Key", "Author", "Age", "Where", "it", "fits"]
    assert [line.split()[0] for line in lines[1:]] == [owls.id[:8], both.id[:8]]
    assert "Wrens sing. Owls do not." in lines[2]
    assert "[bold red]d[/]" in lines[1]
    [found] = (await roost("notes", "--search", "owl", "--tag", "page", "--author", "Writer", "--json")).json_lines
    assert (found["id"], found["key"], found["snippet"]) == (both.id, "both", "Wrens sing. Owls do not.")
    assert found["score"] > 0
    assert len((await roost("notes", "--search", "owl", "--limit", "1", "--json")).json_lines) == 1
    assert await flock.log.length() == before
    none = await roost("notes", "--search", "cormorants")
    assert (none.code, none.out, f"no note of flock {flock.name} has these words" in none.err) == (0, "", True)


async def test_what_cannot_be_searched_for_is_said_in_a_line(roost: RoostCommand, flock: Flock) -> None:
    both = await roost("notes", "--search", "owl", "--key", "a")
    assert (both.code, "--search goes with --tag, --author and --limit" in both.err) == (2, True)
    for words in (["--search", ""], ["--search", "owl " * 600], ["--search", "owl", "--limit", "101"]):
        ran = await roost("notes", *words)
        assert (ran.code, len(ran.err.splitlines())) == (1, 1)


async def test_an_index_in_the_way_of_which_something_is_is_done_without(roost: RoostCommand, flock: Flock) -> None:
    note = await flock.memory.put("Owls hunt.")
    home = roost.directory / ".roost"
    home.mkdir()
    (home / "index").write_text("in the way")
    ran = await roost("notes", "--search", "owl")
    assert (ran.code, note.id[:8] in ran.out) == (0, True)
    assert "only the newest notes are compared" in ran.err
    rebuilt = await roost("rebuild", "search")
    assert (rebuilt.code, "there can be no index" in rebuilt.err) == (1, True)


async def test_the_index_is_made_anew_and_forgetting_reaches_it(roost: RoostCommand, flock: Flock) -> None:
    note = await flock.memory.put("Owls hunt.", key="owls")
    await flock.memory.put("Herons fish.", key="herons")
    [row] = (await roost("rebuild", "search", "--json")).json["rebuilt"]
    assert (row["name"], row["shard"], row["events"]) == ("search", 0, 2)
    table = await roost("rebuild", "search")
    assert table.out.splitlines()[1].split()[:3] == ["search", "0", "2"]
    [current] = (roost.directory / ".roost" / "index").rglob("current")
    before = current.stat()
    assert (await roost("forget", "--yes", note.id)).code == 0
    assert current.stat() == before, "it was brought up to date, and not made anew"
    files = [path.read_bytes() for path in current.parent.iterdir()]
    assert not any(note.id.encode() in file for file in files)
    assert (await roost("notes", "--search", "owl")).out == ""
    assert len((await roost("notes", "--search", "herons", "--json")).json_lines) == 1

"""`roost diff`: what was different between two runs."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from roost_tests.command import RoostCommand
from roost_tests.crew import events_of
from roost_tests.fake_openai import FakeOpenAI
from roost_tests.handbook import QUESTIONS, write_handbook
from roost_tests.recorded_runs import EVIL, event, record_run

from roost.actors import Flock
from roost.actors.documents import Source
from roost.actors.replay.branch import Branch
from roost.actors.replay.fork import Changes, fork
from roost.actors.report import RunStarted
from roost.actors.report.run import end, follow, model_for, start, working
from roost.cli.diff.main import Side, compare_runs
from roost.cli.diff.matching import match, renamed
from roost.cli.diff.past import Past, read_past
from roost.cli.diff.place import Place, what_of
from roost.cli.diff.used_notes import UsedNote, UsedNotes
from roost.cli.diff.words import MOST_WORDS, compare_texts
from roost.streams import Event, Position, new_id
from roost.streams.every_shard import find_shards

FIRST, SECOND, THIRD = "5e" * 12, "7a" * 12, "9c" * 12
SECTIONS = 5


def counts(document: Any) -> tuple[int, int, int, int]:
    notes = document["notes"]
    return notes["equal"], len(notes["different"]), len(notes["only_first"]), len(notes["only_second"])


async def runs_compared(flock: Flock, first: str, second: str) -> Any:
    """The document of two runs of a flock."""
    shards = await find_shards(flock.connection.client, flock.name, patience=timedelta(seconds=10))
    return await compare_runs(*[Side(await read_past(shards, run), shards) for run in (first, second)])


async def make_run(flock: Flock, document: Path, model: str = "offline") -> str:
    """A run of `roost run`, in this process."""
    spec = RunStarted(new_id(), QUESTIONS[:1], (document.name,), model)
    since = await start(flock, spec, [Source("file", str(document), document.name)], document.parent)
    await carry_out(flock, spec, since, document.parent)
    return spec.run


async def carry_out(flock: Flock, spec: RunStarted, since: Position, spool: Path, branch: Branch | None = None) -> None:
    async with asyncio.timeout(30):
        async with working(flock, spec, spool, branch):
            finished = await follow(flock, spec, since, lambda _: None)
        await end(flock, spec, finished, branch=branch)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_handbook(tmp_path / "small.md", SECTIONS)


async def test_a_run_done_again_is_the_same_though_its_notes_have_other_names(flock: Flock, path: Path) -> None:
    found = await runs_compared(flock, await make_run(flock, path), await make_run(flock, path))
    assert (found["settings"], counts(found)[1:]) == ([], (0, 0, 0))
    assert found["compared"]["calls"] == {"first": SECTIONS + 1, "second": 0, "ratio": 0.0}
    assert [answer["same"] for answer in found["answers"]] == [True]


async def test_with_another_model_the_model_and_what_it_said_differ(
    flock: Flock, path: Path, monkeypatch: pytest.MonkeyPatch, server_url: str
) -> None:
    first = await make_run(flock, path)
    async with FakeOpenAI() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
        other = RunStarted("", (), (), "openai/m")
        async with Flock.open(flock.name, server_url, model=model_for(other)) as asking:
            found = await runs_compared(flock, first, await make_run(asking, path, "openai/m"))
    assert {each["name"] for each in found["settings"]} == {"model", "model offline", "model openai/m"}
    [answer] = found["answers"]
    assert (answer["question"], answer["same"]) == (QUESTIONS[0], False)
    assert answer["first"]["answer"] != answer["second"]["answer"]
    kinds = {each["about"].partition(":")[0] for each in found["notes"]["different"]}
    assert {"answer", "report"} <= kinds <= {"summary", "answer", "report", "group", "groups"}
    assert counts(found)[2:] == (0, 0)


async def test_with_one_section_changed_that_section_and_what_was_made_of_it_differ(
    flock: Flock, roost: RoostCommand, path: Path, tmp_path: Path
) -> None:
    (tmp_path / "edited").mkdir()
    edited = write_handbook(tmp_path / "edited" / "small.md", SECTIONS, changed=1)
    runs = [await make_run(flock, each) for each in (path, edited)]
    found = await runs_compared(flock, *runs)
    assert found["settings"] == []
    [changed] = [each["about"] for each in found["notes"]["different"] if each["about"].startswith("section")]
    assert "Of owls, region 1" in changed
    assert counts(found)[2:] == (0, 0)
    shown = await roost("diff", *runs, COLUMNS="80")
    assert not shown.danger
    assert "Set up in the same way, with the same code." in shown.out
    assert all(len(line) <= 80 for line in shown.out.splitlines())


async def test_a_fork_has_the_past_that_it_shares_and_only_what_it_edits_differs(flock: Flock, path: Path) -> None:
    run = await make_run(flock, path)
    written = [event for event in await events_of(flock, "part.offered") if "owls" in event.data["label"]]
    section = written[0].data["note"]
    begun = await fork(flock, run, Changes(edits={section: b"Owls like nothing at all. Owls sleep."}))
    assert begun.spec is not None
    await carry_out(flock, begun.spec, begun.since, path.parent, begun.branch)
    found = await runs_compared(flock, run, begun.spec.run)
    assert found["origin"] is not None
    assert (found["origin"]["fork"], found["settings"]) == ("second", [])
    about = {each["about"].partition(":")[0]: each for each in found["notes"]["different"]}
    assert about["section"]["first"]["note"] == section
    assert about["section"]["second"]["note"] == begun.branch.forked.edits[0].instead
    assert counts(found)[2:] == (0, 0)
    assert found["compared"]["calls"]["second"] < SECTIONS


async def test_runs_of_other_programs_and_of_other_flocks_are_compared_by_what_their_events_say(
    roost: RoostCommand, flock: Flock, server_url: str
) -> None:
    async def record(into: Flock, run: str, title: str, said: str) -> None:
        note = await into.memory.put(said, tags=["poem"])
        await into.append(event("note.read", f"note/{note.id}", run, "reader", note=note.id, count=1))
        await into.append(event("poem.found", f"run/{run}", run, "reader", title=title, note=note.id))

    await record(flock, FIRST, "To geese", "Geese go south")
    await record(flock, SECOND, "To geese", "Geese go north")
    async with Flock.open(f"{flock.name}-b", server_url, agent="tester") as elsewhere:
        await record(elsewhere, THIRD, "To geese", "Geese go south")
        await record(elsewhere, THIRD, "To owls", "Owls stay")
        itself, one = await runs_compared(flock, FIRST, FIRST), await runs_compared(flock, FIRST, SECOND)
        other = f"{elsewhere.name}/9c"
        two, shown = await asyncio.gather(
            roost("diff", "5e", other, "--json"), roost("diff", f"{flock.name}/5e", other)
        )
    assert counts(itself) == (1, 0, 0, 0)
    assert (one["answers"], one["settings"], one["origin"]) == ([], [], None)
    assert [each["about"] for each in one["notes"]["different"]] == ["poem: To geese"]
    assert counts(two.json) == (1, 0, 0, 1)
    assert two.json["second"]["flock"] == elsewhere.name
    assert "Neither run has answers." in shown.out
    assert f"Runs {flock.name}/5e5e5e5e and {elsewhere.name}/9c9c9c9c" in shown.out


async def test_a_fork_is_said_to_be_one_and_evil_texts_command_nobody(roost: RoostCommand, flock: Flock) -> None:
    await record_run(flock, FIRST)
    await record_run(flock, SECOND, model=EVIL[0])
    forked = {"run": SECOND, "origin": FIRST, "at": "17-0", "model": EVIL[0]}
    await flock.append(event("run.forked", f"run/{SECOND}", SECOND, "main", **forked))
    answer = await flock.memory.put(f"{EVIL[0]} {EVIL[2]}")
    for run, result in ((FIRST, None), (SECOND, answer.id)):
        await flock.append(event("note.read", f"note/{answer.id}", run, "editor", note=answer.id, count=1))
        told = {"group": "1", "result": result, "error": None if result else EVIL[1]}
        await flock.append(event("group.reduced", f"run/{run}", run, "reducer", **told))
    odd = [Event(type=kind, subject="s", body=b"[1]", run=SECOND) for kind in ("note.read", "run.forked", "odd.one")]
    await flock.append(*odd)
    data, shown, unknown, wrong = await asyncio.gather(
        roost("diff", "5e", "7a", "--json"), roost.on_terminal("diff", "5e", "7a", columns=80),
        roost("diff", "5e", "nobody"), roost("diff", "5e"),
    )  # fmt: skip
    assert data.json["origin"] == {"fork": "second", "origin": FIRST, "at": "17-0", "model": EVIL[0]}
    assert data.json["answers"][0]["first"]["error"] == EVIL[1]
    assert "7a7a7a7a is a fork of 5e5e5e5e, from 17-0 on" in shown.out
    assert data.danger + shown.danger == []
    assert (unknown.code, wrong.code) == (1, 2)
    assert "no run of flock" in unknown.err


def test_words_that_one_text_alone_has_are_marked() -> None:
    first, second = compare_texts("Ducks swim all day. [1]", "Ducks swim all the night. [1]")
    assert [piece.text for piece in first if piece.is_alone] == ["day"]
    assert [piece.text for piece in second if piece.is_alone] == ["the night"]
    assert "".join(piece.text for piece in second) == "Ducks swim all the night. [1]"
    long = "word and " * MOST_WORDS
    for changed in (f"{long}\nmore", long):
        left, right = compare_texts(long, changed)
        assert ("".join(piece.text for piece in left), "".join(piece.text for piece in right)) == (long, changed)


def test_an_event_is_told_by_its_question_its_label_or_its_small_figures() -> None:
    assert what_of({"group": "2", "groups": 3}, ["Why?", "How?"]) == "How?"
    assert what_of({"group": "birds"}, []) == "birds"
    assert what_of({"label": "One", "index": 4, "note": FIRST}, []) == "One"
    assert what_of({"stream": "0", "batch": 1, "size": 7, "note": FIRST, "at_ns": 10**18}, []) == "batch 1, stream 0"


async def test_notes_match_by_key_then_by_place_and_what_they_are_called_is_no_difference() -> None:
    contents = {"a": f"see {FIRST}".encode(), "b": f"see {SECOND}".encode(), "c": b"other"}

    async def content(digest: str) -> bytes | None:
        return contents.get(digest)

    def note(name: str, key: str | None, what: str, digest: str) -> UsedNote:
        return UsedNote(name, Place("x", what), key=key, digest=digest, size=9)

    first = [note(FIRST, "k", "One", "x"), note("1" * 24, None, "Two", "a"), note("2" * 24, None, "Three", "c")]
    second = [note(SECOND, "k", "Uno", "x"), note("3" * 24, None, "Two", "b"), note("4" * 24, "q", "", "gone")]
    matched = await match(first, second, content, content, ("run", "other"))
    assert [(one.id, other.id) for one, other in matched.equal] == [(FIRST, SECOND), ("1" * 24, "3" * 24)]
    assert [each.id for each in (*matched.only_first, *matched.only_second)] == ["2" * 24, "4" * 24]
    assert renamed(contents["a"], {}) == contents["a"]


def test_a_notes_place_is_the_event_that_names_it_first() -> None:
    used = UsedNotes(Past(FIRST))
    for told in (
        event("note.written", "s", FIRST, "reader", note=SECOND, digest="d", size=3, tags=["section"]),
        event("part.offered", "s", FIRST, "reader", note=SECOND, label="One"),
        event("part.mapped", "s", FIRST, "mapper", note=SECOND, label="Two"),
        event("note.read", "s", THIRD, "mapper", note=THIRD, count=1),
        event("document.offered", "s", FIRST, "main", stream="7", name="owls.md"),
        event("note.written", "s", FIRST, "collector", note=THIRD, digest="d", size=3, tags=["manifest"]),
        event("batch.mapped", "s", FIRST, "collector", stream="7", batch=1, manifest=THIRD),
    ):
        used.evolve(told)
    [note, manifest] = used.notes()
    assert manifest.about == "manifest: batch 1, stream owls.md"
    assert (note.about, note.place) == ("section: One", Place("part.offered note", "One"))
    assert used.unknown == set()

"""`roost replay --check`: a run done again from the log alone, with its own code, and with code that was changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import orjson
from roost_tests.command import RoostCommand
from roost_tests.handbook import QUESTIONS, Events, write_handbook

SECTIONS = 12
CHANGED = """
from roost.actors.report.report import Answerer, Editor, Report, Summarizer
from roost.actors.mapreduce import GiveUp

QUESTIONS = {questions!r}


class Louder(Report):
    async def finish(self, results, members, missing, ctx):
        note = await super().finish(results, members, missing, ctx)
        return await ctx.memory.put(note.text.upper())


class Stricter(Report):
    async def map(self, note, label, ctx):
        if "owls" in label:
            raise GiveUp("no owls")
        return await super().map(note, label, ctx)


editor = Editor(Louder(QUESTIONS))
summarizer = Summarizer(Stricter(QUESTIONS))
"""


async def test_a_run_comes_to_the_same_with_its_documents_and_its_model_gone(
    roost: RoostCommand, handbook: Path, fake_model: Callable[..., str], logged: Events
) -> None:
    fake_model("--fail", "busy:2")
    ran = await roost("run", str(handbook), "-q", QUESTIONS[0], "--processes", "2", "--model", "openai/m", "--json")
    assert ran.code == 0, ran.err
    await asyncio.to_thread(handbook.unlink)
    handled = [event for event in await logged() if event.type == "delivery.handled"]
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        del roost.environment[name]
    before = len(await logged())
    checked = await roost("replay", ran.json["run"][:10], "--check", "--json")
    assert checked.code == 0, checked.err + checked.out
    found = checked.json
    assert (found["run"], found["checked"], found["divergences"]) == (ran.json["run"], len(handled), [])
    assert (found["around"], found["unchecked"], found["changed"]) == ([], [], [])
    assert len(await logged()) == before, "nothing was written"
    shown = await roost("replay", "--check")
    assert f"{len(handled)} deliveries done again from the log, all came to the same" in shown.out


async def test_changed_code_shows_in_exactly_the_deliveries_that_it_affects(
    roost: RoostCommand, tmp_path: Path
) -> None:
    book = write_handbook(tmp_path / "book.md", 3)
    ran = await roost("run", str(book), "-q", QUESTIONS[0], "--json")
    assert ran.code == 0, ran.err
    (tmp_path / "edited.py").write_text(CHANGED.format(questions=QUESTIONS[:1]))
    checked = await roost("replay", "--check", "--code", "edited.py:editor", "--json")
    assert checked.code == 1
    (only,) = orjson.loads(checked.out)["divergences"]
    assert (only["actor"], only["field"], only["recorded"]) == ("editor", "note[1]", None)
    assert only["new"].startswith("# REPORT")
    checked = await roost("replay", "--check", "--code", "edited.py:summarizer")
    assert checked.code == 1
    assert "1 came to something else" in checked.out
    assert "summarizer.map" in checked.out
    assert "the code has changed since: summarizer" in checked.err


async def test_what_cannot_be_checked_is_said_in_a_line(roost: RoostCommand, tmp_path: Path) -> None:
    none = await roost("replay", "--check")
    assert (none.code, none.err.count("\n")) == (1, 1)
    assert "no runs yet" in none.err
    await roost("run", str(write_handbook(tmp_path / "book.md", 1)), "-q", QUESTIONS[0])
    for words, code, told in (
        (("nosuchrun",), 1, "no run of flock"),
        (("--code", "nosuch.py"), 2, "there is no file nosuch.py"),
        (("--code", "1x"), 2, "cannot be a module"),
    ):
        ran = await roost("replay", *words, "--check")
        assert (ran.code, ran.err.count("\n")) == (code, 1), ran.err
        assert told in ran.err

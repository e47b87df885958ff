"""What a run is given to read and to answer: what is wrong with it is said, and the rest is done."""

from __future__ import annotations

import asyncio
import http.server
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from roost_tests.command import Ran, RoostCommand
from roost_tests.handbook import QUESTIONS, Events, section, write_handbook

WHY = ("-q", "Why?")
PROGRESS = re.compile(r"\x1b\[\?25[hl]|\r?\x1b\[1A|\r?\x1b\[2K|\r(?=\x1b)")
"""What the progress on a terminal needs to draw itself again."""


async def test_what_cannot_be_read_is_named_and_the_rest_is_answered_from(roost: RoostCommand, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    write_handbook(folder / "good.md", 2)
    (folder / "empty.txt").write_bytes(b"")
    (folder / "binary.bin").write_bytes(bytes(range(256)) * 40)
    (folder / ".env").write_text("SECRET=do-not-read-me\n")
    (folder / "closed.md").write_text(section(1))
    (folder / "closed.md").chmod(0)
    (folder / "loop").symlink_to(folder)
    ran = await roost("run", str(folder), *WHY, "--json")
    document = ran.json
    assert document["sections"] >= 2
    assert "do-not-read-me" not in ran.out + ran.err
    told = ran.err + str(document["missing"])
    assert "binary.bin" in told
    if os.geteuid():  # the superuser reads everything
        assert "closed.md" in told
    assert document["answers"][0]["answer"]


async def test_a_document_that_is_not_there_is_one_line(roost: RoostCommand, tmp_path: Path, logged: Events) -> None:
    ran = await roost("run", str(tmp_path / "nowhere.md"), *WHY)
    assert ran.code in (1, 2)
    assert ran.out == ""
    assert len(ran.err.splitlines()) == 1
    assert "nowhere.md" in ran.err
    assert await logged() == []


async def test_an_empty_document_is_said_to_have_nothing_in_it(roost: RoostCommand, tmp_path: Path) -> None:
    empty = tmp_path / "empty.md"
    empty.write_bytes(b"\n\n")
    ran = await roost("run", str(empty), *WHY, "--json")
    assert ran.code == 1
    assert "Traceback" not in ran.err
    assert ran.err.splitlines()[-1].startswith("roost: ")


async def test_what_is_given_twice_is_done_once(roost: RoostCommand, tmp_path: Path) -> None:
    path = write_handbook(tmp_path / "doc.md", 2)
    ran = await roost("run", str(path), str(path), "-q", QUESTIONS[0], "-q", f" {QUESTIONS[0]} ", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["documents"], len(ran.json["answers"])) == (1, 1)
    assert ran.json["model"]["calls"] == 2 + 1


async def test_an_empty_question_is_wrong_usage(roost: RoostCommand, handbook: Path) -> None:
    ran = await roost("run", str(handbook), "-q", "  ")
    assert (ran.code, ran.out) == (2, "")
    assert "a question is empty" in ran.err


async def test_standard_input_is_a_document(roost: RoostCommand) -> None:
    ran = await roost(
        "run", "-", "-q", QUESTIONS[0], "--processes", "2", "--json", stdin=(section(1) + section(2)).encode()
    )
    assert ran.code == 0, ran.err
    assert ran.json["sections"] == 2


async def test_escape_sequences_in_documents_never_reach_the_terminal(roost: RoostCommand, tmp_path: Path) -> None:
    evil = tmp_path / "evil\x1b[31m.md"
    body = section(1).replace("Record", "\x1b]0;owned\x07\x1b[2JRecord").replace("Nobody", "\u202eNobody")
    evil.write_text(f"# \x1b[5mBlink\n\n{body}{section(2)}")
    words = ("run", str(evil), "-q", "What does record \x1b[7m tell?")
    for ran in (await roost.on_terminal(*words), await roost(*words), await roost(*words, "--json")):
        assert ran.code == 0, ran.out + ran.err
        assert "Record" in ran.out
        without_progress = PROGRESS.sub("", ran.out)
        assert Ran(0, without_progress, ran.err).danger == []


async def test_the_report_stands_alone_on_standard_output(roost: RoostCommand, handbook: Path) -> None:
    ran = await roost("run", str(handbook), "-q", QUESTIONS[0])
    assert ran.out.startswith("# Report\n")
    assert "model calls" not in ran.out
    assert "model calls" in ran.err


async def test_the_report_goes_into_a_file_or_nothing_is_begun(
    roost: RoostCommand, handbook: Path, tmp_path: Path, logged: Events
) -> None:
    refused = await roost("run", str(handbook), *WHY, "--out", str(tmp_path / "no" / "report.md"))
    assert refused.code == 1
    assert "choose another --out" in refused.err
    assert await logged() == []
    ran = await roost("run", str(handbook), *WHY, "--out", "report.md")
    assert ran.code == 0
    assert (tmp_path / "report.md").read_text().startswith("# Report\n")
    assert "# Report" not in ran.out


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A web server on this machine, with one document."""
    (tmp_path / "site").mkdir()
    write_handbook(tmp_path / "site" / "page.md", 2)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given: object) -> None:
            super().__init__(*given, directory=str(tmp_path / "site"))  # type: ignore[arg-type]

        def log_message(self, format: str, *args: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/page.md"
        server.shutdown()


async def test_an_address_of_this_machine_is_read_only_when_allowed(roost: RoostCommand, site: str) -> None:
    refused, allowed = await asyncio.gather(
        roost("run", site, *WHY), roost("run", site, *WHY, "--allow-private", "--processes", "2", "--json")
    )
    assert refused.code == 1
    assert "--allow-private" in refused.err
    assert allowed.code == 0, allowed.err
    assert allowed.json["sections"] == 2


async def test_a_format_whose_converter_is_not_installed_says_what_to_install(
    roost: RoostCommand, tmp_path: Path
) -> None:
    (tmp_path / "without" / "markitdown").mkdir(parents=True)
    (tmp_path / "without" / "markitdown" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'markitdown'\", name='markitdown')\n"
    )
    (tmp_path / "page.html").write_text(f"<html><body><p>{section(1)}</p></body></html>")
    write_handbook(tmp_path / "doc.md", 2)
    paths = (str(tmp_path / "page.html"), str(tmp_path / "doc.md"))
    ran = await roost("run", *paths, "-q", QUESTIONS[0], "--json", PYTHONPATH=str(tmp_path / "without"))
    assert ran.code == 1
    [missing] = ran.json["missing"]
    assert missing["what"] == "page.html"
    assert 'needs the extra "docs"' in missing["reason"]
    assert ran.err.splitlines()[-1].count("page.html") == 1
    assert ran.json["answers"][0]["answer"]  # of the other one

"""Other formats become Markdown in a process that cannot hang, eat the machine, reach the network or leave anything."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
from roost_tests.waiting import wait_until

from roost.actors.documents import Limits, Opened, Source, cut, open_document
from roost.actors.documents.errors import ConversionFailed, ConverterMissing, DocumentTooLarge, EmptyDocument

PAGE = (
    "<html><head><title>The page</title><script>let x</script></head><body><h1>Flocks</h1><p>Größe.</p></body></html>"
)
WriteDocx = Callable[..., None]
WritePdf = Callable[[Path, str], None]
needs_converters = pytest.mark.skipif(find_spec("markitdown") is None, reason="the extra `docs` is not installed")


async def open_file(path: Path, limits: Limits | None = None) -> Opened:
    return await open_document(Source("file", str(path), path.name), path.parent / "spool", limits=limits)


def text_of(opened: Opened) -> str:
    return Path(opened.text_path).read_text("utf-8")


def read_bytes(path: Path) -> bytes:
    return path.read_bytes()


def spooled(folder: Path) -> list[Path]:
    spool = folder / "spool"
    return list(spool.iterdir()) if spool.exists() else []


@needs_converters
@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("page.HTM", ""),
        ("page", "\n<!DOCTYPE html>\n"),
        ("page.txt", "\ufeff<?xml version='1.0'?><!-- a --> <!-- b\n<p> -->"),
    ],
)
async def test_html_becomes_markdown_whatever_it_is_called(tmp_path: Path, name: str, beginning: str) -> None:
    (tmp_path / name).write_text(beginning + PAGE)
    with await open_file(tmp_path / name) as opened:
        assert text_of(opened) == "# Flocks\n\nGröße."
        assert (opened.title, opened.media, opened.spooled) == ("The page", "text/html", True)
        assert [section.title for section in cut(opened).sections] == ["Flocks"]
    assert spooled(tmp_path) == []


@needs_converters
async def test_a_word_document_becomes_markdown(tmp_path: Path, write_docx: WriteDocx) -> None:
    write_docx(tmp_path / "a.docx", "Flocks", "Birds of a feather.")
    with await open_file(tmp_path / "a.docx") as opened:
        assert text_of(opened) == "# Flocks\n\nBirds of a feather."
        assert opened.title == "Flocks"


@needs_converters
async def test_a_pdf_becomes_text_and_one_without_any_says_so(tmp_path: Path, write_pdf: WritePdf) -> None:
    write_pdf(tmp_path / "a.pdf", "Birds of a feather.")
    with await open_file(tmp_path / "a.pdf") as opened:
        assert text_of(opened).strip() == "Birds of a feather."
        assert opened.title == "a.pdf"
    write_pdf(tmp_path / "scan.pdf", "")
    with pytest.raises(EmptyDocument, match=r"scan\.pdf: no text was found in it; pages that are pictures need OCR"):
        await open_file(tmp_path / "scan.pdf")
    assert spooled(tmp_path) == []


@needs_converters
async def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, write_docx: WriteDocx) -> None:
    write_docx(tmp_path / "bomb.docx", "Bomb", "Tick.", padding=40 * 1_048_576)
    assert len(read_bytes(tmp_path / "bomb.docx")) < 100_000
    with pytest.raises(ConversionFailed, match=r"bomb\.docx: cannot be converted: it unpacks to 40 MB"):
        await open_file(tmp_path / "bomb.docx", Limits(unpacked_bytes=20 * 1_048_576))
    with pytest.raises(ConversionFailed, match="it holds 4 parts"):
        await open_file(tmp_path / "bomb.docx", Limits(unpacked_entries=3))
    assert spooled(tmp_path) == []


@needs_converters
@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.docx", b"PK no zip at all", r"it is damaged, or no \.docx at all"),
        ("a.xlsx", b"PK\x05\x06" + bytes(18), "cannot be converted: .+\\([A-Za-z]+\\)"),
        ("a.pdf", b"%PDF-1.4\nnothing", "cannot be converted: .+\\([A-Za-z]+\\)"),
        ("a.ipynb", b"{", "cannot be converted: .+\\([A-Za-z]+\\)"),
    ],
)
async def test_a_damaged_document_is_one_line_of_error(
    tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConversionFailed, match=complaint) as caught:
        await open_file(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert spooled(tmp_path) == []


async def test_a_document_too_large_to_convert_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(PAGE)
    with pytest.raises(DocumentTooLarge, match=r"a\.html: is over 10 bytes; save its text and read that"):
        await open_file(tmp_path / "a.html", Limits(convert_bytes=10))


# What follows puts a converter of ours in the place of the real one, in the real process under the real limits.

CONVERTER = """
class StreamInfo:
    def __init__(self, **about): pass
class Result:
    title = None
    def __init__(self, text): self.markdown = text
class HtmlConverter:
    def convert(self, file, about):
        import os, sys, time
{body}
"""


@pytest.fixture
def convert_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Makes `body` what converts HTML, and `at_import` what happens before; answers a page to convert."""

    def put(body: str, at_import: str = "") -> Path:
        package = tmp_path / "path" / "markitdown"
        package.mkdir(parents=True)
        converter = CONVERTER.format(body="\n".join(" " * 8 + line for line in body.splitlines()))
        (package / "__init__.py").write_text(f"{at_import}\nfrom .converters import StreamInfo\n")
        (package / "converters.py").write_text(converter)
        (package / "_exceptions.py").write_text("class MissingDependencyException(Exception): pass")
        monkeypatch.setattr(sys, "path", [str(package.parent), *sys.path])
        (tmp_path / "page.html").write_text(PAGE)
        return tmp_path / "page.html"

    return put


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


HANG = """
import os, subprocess, time
child = subprocess.Popen(["sleep", "60"])
with open({pids!r}, "w") as file:
    file.write(f"{{os.getpid()}} {{child.pid}}\\n")
time.sleep(60)
"""


def read_pids(path: Path) -> list[int]:
    return [int(pid) for pid in path.read_text().split()] if path.exists() and "\n" in path.read_text() else []


async def test_a_converter_that_hangs_is_ended_with_all_it_started(
    tmp_path: Path, convert_by: Callable[[str, str], Path]
) -> None:
    pids = tmp_path / "pids"
    page = convert_by("pass", HANG.format(pids=str(pids)))
    with pytest.raises(ConversionFailed, match=r"page\.html: its conversion took over 3 s and was ended"):
        await open_file(page, Limits(convert_time=timedelta(seconds=3)))
    assert len(read_pids(pids)) == 2
    await wait_until(lambda: not any(map(is_running, read_pids(pids))))
    assert spooled(tmp_path) == []


async def test_a_conversion_that_is_cancelled_leaves_no_process(
    tmp_path: Path, convert_by: Callable[[str, str], Path]
) -> None:
    pids = tmp_path / "pids"
    task = asyncio.create_task(open_file(convert_by("pass", HANG.format(pids=str(pids)))))
    await wait_until(lambda: len(read_pids(pids)) == 2, timeout=20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await wait_until(lambda: not any(map(is_running, read_pids(pids))))
    assert spooled(tmp_path) == []


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("return Result('x' * (1 << 40))", "it needs too much memory"),
        ("return Result('x' * 3_000_000)", "its text is over 1 MB"),
        ("return Result(str(os.fork()))", "a converter may not do this: os.fork"),
        ("os.system('true')", "a converter may not do this: os.system"),
        ("import subprocess\nsubprocess.run(['true'])", "a converter may not do this: subprocess.Popen"),
        ("os.remove(file.name)", "a converter may not do this: os.remove"),
        (
            "import socket\nsocket.create_connection(('localhost', 1))",
            "a converter may not do this: socket.getaddrinfo",
        ),
        ("import socket\nsocket.socket().connect(('127.0.0.1', 1))", "a converter may not do this: socket.connect"),
        ("import urllib.request\nurllib.request.urlopen('http://localhost/')", "a converter may not do this: urllib"),
        ("def f(): f()\nf()", "it is nested too deeply"),
        ("os._exit(7)", r"the converter broke off \(exit 7\)"),
        ("os.abort()", r"the converter broke off \(exit -6\)"),
        ("while True: pass", "it takes too much time or memory|took over"),
        ("raise ValueError('two\\nlines')", "two lines \\(ValueError\\)"),
    ],
)
async def test_a_converter_that_misbehaves_is_stopped_and_named(
    tmp_path: Path, convert_by: Callable[..., Path], body: str, complaint: str
) -> None:
    limits = Limits(converted_bytes=1_048_576, convert_time=timedelta(seconds=2 if "while" in body else 60))
    with pytest.raises(ConversionFailed, match=f"page.html: .*(?:{complaint})") as caught:
        await open_file(convert_by(body), limits)
    assert "\n" not in str(caught.value)
    assert spooled(tmp_path) == []


async def test_a_converter_is_told_no_secrets(
    tmp_path: Path, convert_by: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.setenv("ROOST_URL", "redis://:word@localhost")
    page = convert_by("print('noise')\nreturn Result('environment: ' + repr(sorted(os.environ)))")
    with await open_file(page) as opened:
        names = text_of(opened)
    assert "PATH" in names
    assert "OPENAI" not in names
    assert "ROOST" not in names


async def test_a_missing_extra_is_said_with_the_command_that_installs_it(
    tmp_path: Path, convert_by: Callable[..., Path]
) -> None:
    page = convert_by("pass", "raise ModuleNotFoundError('no such module')")
    with pytest.raises(ConverterMissing, match=r'page\.html: reading \.html needs .*: pip install "\.\[docs\]"'):
        await open_file(page)

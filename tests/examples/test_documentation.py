"""What README and docs/ show is so: programs run and print what stands below them, commands and links exist."""

from __future__ import annotations

import ast
import asyncio
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import orjson
import pytest
from click.testing import CliRunner
from roost_tests.newcomer import Newcomer

from roost.actors.models import errors
from roost.cli.command import CommonOption, Group
from roost.cli.main import cli
from roost.streams.server import stop_server
from roost.streams.url import SCHEMES

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
every_page = pytest.mark.parametrize("page", PAGES, ids=NAMES)


@dataclass(frozen=True, slots=True)
class Block:
    """Fenced text, the line it begins in, and whether it belongs to the block before: no heading stands between."""

    language: str
    text: str
    line: int
    follows: bool

    @property
    def is_program(self) -> bool:
        """A block that starts the event loop is complete. Others are parts of something."""
        return self.language == "python" and "asyncio.run(" in self.text


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    found: list[Block] = []
    end = -1
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        follows = end >= 0 and "\n#" not in text[end : match.start()]
        found.append(Block(match[1], match[2], text.count("\n", 0, match.start()) + 1, follows))
        end = match.end()
    return found


def prose_of(page: Path) -> str:
    """The page without its blocks."""
    return re.sub(r"^```\w*\n.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def visitor() -> Iterator[Newcomer]:
    """A newcomer to each page, with nothing from other pages."""
    home = Path(tempfile.mkdtemp(prefix="roost-visitor-"))
    yield Newcomer(home)
    asyncio.run(stop_server(home / ".roost"))
    shutil.rmtree(home)


WITH_PROGRAMS = [page for page in PAGES if any(block.is_program for block in blocks_of(page))]


@pytest.mark.parametrize("page", WITH_PROGRAMS, ids=lambda page: page.name)
async def test_programs_print_what_stands_below_them(page: Path, visitor: Newcomer) -> None:
    blocks = blocks_of(page)
    for number, block in enumerate(blocks):
        if not block.is_program:
            continue
        program = visitor.home / f"line_{block.line}.py"
        program.write_text(block.text, "utf-8")
        printed = await visitor.python(program)
        below = blocks[number + 1 : number + 2]
        if below and below[0].language == "text" and below[0].follows:
            assert printed == below[0].text, f"{page.name}:{block.line}"


def test_the_pages_that_teach_have_programs() -> None:
    taught = {page.name for page in WITH_PROGRAMS}
    assert {"README.md", "getting-started.md", "memory.md", "actors.md", "models.md"} <= taught


@every_page
def test_python_is_python(page: Path) -> None:
    for block in blocks_of(page):
        if block.language == "python":
            compile(block.text, f"{page.name}:{block.line}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


OPERATORS = frozenset("|&;<>")


def commands_in(line: str) -> Iterator[list[str]]:
    """The commands of a shell line, without variables before them and without redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="".join(OPERATORS))
    lexer.whitespace_split = True
    words: list[str] = []
    redirected = False
    for word in [*lexer, ";"]:
        if set(word) <= OPERATORS:
            redirected = word[0] in "<>"
            if not redirected:
                if words:
                    yield words
                words = []
        elif redirected:
            redirected = False
        elif words or not re.match(r"[A-Z_]+=", word):
            words.append(word)


def check_command(words: list[str]) -> None:
    """As the command line would, up to the point at which the command would run. Raises click.UsageError."""
    ctx = cli.make_context("roost", list(words), resilient_parsing=words[0].startswith("-"))
    if not words[0].startswith("-"):
        name, command, rest = cli.resolve_command(ctx, words)
        assert command is not None
        inner = command.make_context(name, list(rest), parent=ctx)
        if isinstance(command, Group):
            name, under, rest = command.resolve_command(inner, command.begin_with_name(rest))
            assert under is not None
            under.make_context(name, rest, parent=inner)


def shell_lines() -> Iterator[tuple[str, list[str]]]:
    for page in PAGES:
        for block in blocks_of(page):
            if block.language != "console":
                continue
            for line in block.text.splitlines():
                if line.startswith("$ "):
                    for words in commands_in(line[2:]):
                        yield f"{page.name}:{block.line}", words


def test_shown_commands_exist_with_their_options() -> None:
    checked = 0
    for where, words in shell_lines():
        if words[0] == "roost":
            try:
                check_command(words[1:])
            except click.ClickException as error:
                pytest.fail(f"{where}: {shlex.join(words)}: {error.format_message()}")
            checked += 1
    assert checked > 15


def test_shown_make_targets_and_examples_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    spoken = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)`", page.read_text("utf-8"))}
    shown = {words[1] for _, words in shell_lines() if words[0] == "make"}
    assert shown
    assert spoken | shown <= targets
    files = {word for _, words in shell_lines() for word in words if word.startswith("examples/")}
    files |= {name for page in PAGES for name in re.findall(r"examples/\w+\.py", page.read_text("utf-8"))}
    assert files
    assert sorted(name for name in files if not (ROOT / name).is_file()) == []


@every_page
def test_commands_in_the_text_exist_with_their_options(page: Path) -> None:
    for spoken in re.findall(r"`roost ([^`]+)`", " ".join(prose_of(page).split())):
        words = spoken.split()
        if words[0].startswith("-"):
            continue
        command = cli.get_command(click.Context(cli), words[0])
        if isinstance(command, Group):
            command = command.commands.get(command.begin_with_name(words[1:])[0])
        assert command is not None, f"roost {spoken}"
        known = {name for param in command.params for name in [*param.opts, *param.secondary_opts]}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, f"roost {spoken}"


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors_of(linked), f"{page.name} links to {target}"


def anchors_of(page: Path) -> set[str]:
    """As people's readers make them of headings."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_index_names_every_page_and_every_example() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    pages = [page.name for page in (ROOT / "docs").glob("*.md") if page.name != "README.md"]
    examples = [file.name for file in (ROOT / "examples").glob("*.py")]
    assert [name for name in [*pages, *examples] if f"({name})" not in index and f"/{name})" not in index] == []
    notes = (ROOT / "docs" / "decisions" / "README.md").read_text("utf-8")
    assert [note.name for note in (ROOT / "docs" / "decisions").glob("0*.md") if f"({note.name})" not in notes] == []


def first_cells(page: str, heading: str) -> list[str]:
    """The code in the first column of the tables below a heading."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert section, f"{page} has no section {heading}"
    cells = re.findall(r"^\| ([^|]*`[^|]*) \|", section, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_every_option_of_run_is_told() -> None:
    command = cli.get_command(click.Context(cli), "run")
    assert command is not None
    own = [each for each in command.params if isinstance(each, click.Option) and not isinstance(each, CommonOption)]
    assert set(first_cells("running.md", "Options")) == {name for option in own for name in option.opts}


def test_every_error_of_a_model_is_told() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ModelError)}
    leaves = {kind.__name__ for kind in kinds - {errors.ModelError, errors.AnswerError}}
    assert set(first_cells("models.md", "When a model fails")) == leaves


def test_every_form_of_a_server_s_address_is_told() -> None:
    told = {name.partition("://")[0] for name in first_cells("server.md", "A server elsewhere") if "://" in name}
    assert told == set(SCHEMES)


Json = dict[str, "Json"] | list["Json"] | str | float | None


def fields_of(document: Json, path: str = "") -> set[str]:
    """The paths of a JSON document's leaves; lists stand in the paths as []. An empty list is a leaf."""
    if isinstance(document, dict):
        return {field for name, value in document.items() for field in fields_of(value, f"{path}.{name}".lstrip("."))}
    if isinstance(document, list) and document:
        return {path, *(field for value in document for field in fields_of(value, f"{path}[]"))}
    return {path}


def test_the_json_documents_of_run_have_the_fields_that_are_told(
    tmp_path: Path, server_url: str, flock_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOST_URL", server_url)
    monkeypatch.setenv("ROOST_FLOCK", flock_name)
    page = tmp_path / "owls.md"
    page.write_text("# Owls\nBarn owls hunt by ear. They find a mouse in complete darkness.\n", "utf-8")

    def run(*options: str) -> Any:
        result = CliRunner().invoke(cli, ["run", str(page), "-q", "How do owls hunt?", "--json", *options])
        assert result.stdout, result.stderr or repr(result.exception)
        return orjson.loads(result.stdout)

    told = first_cells("running.md", "The JSON document")
    at = told.index("ratio.calls")
    of_run, of_comparison = set(told[:at]), set(told[at:])
    partial = fields_of(run("--max-calls", "1"))
    assert partial | fields_of(run()) == of_run
    assert fields_of(run("--plan")) == set(first_cells("running.md", "Plan"))
    compared = run("--compare")
    assert fields_of({name: value for name, value in compared.items() if name not in WAYS}) == of_comparison
    inner = of_run - {"flock", "outcome", "missing_unnamed", "answers[].error"} | {"runs", "runs[]", "tokens"}
    for way in WAYS:
        assert fields_of(compared[way]) == {field for field in inner if not field.startswith("missing[]")}


WAYS = ("isolated", "cache", "shared")

"""Sections hold all of a text, can be had a batch at a time, and are left alone by an edit elsewhere."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from roost.actors.documents import (
    CUTTER_VERSION,
    Mark,
    Measure,
    Opened,
    Section,
    Source,
    cut,
    open_document,
    write_language_reference,
)
from roost.actors.documents import window as window_module
from roost.actors.documents.errors import DocumentChanged


def open_text(directory: Path, text: str, name: str = "text.md") -> Opened:
    path = directory / name
    path.write_text(text, "utf-8", newline="")
    return asyncio.run(open_document(Source("file", str(path), name), directory / "spool"))


def all_sections(opened: Opened, measure: Measure | None = None) -> list[Section]:
    return list(cut(opened, limit=1_000_000, measure=measure).sections)


def sections_of(text: str, name: str = "text.md", measure: Measure | None = None) -> list[Section]:
    with TemporaryDirectory() as directory, open_text(Path(directory), text, name) as opened:
        return all_sections(opened, measure)


def titles(text: str, name: str = "text.md") -> list[str]:
    return [section.title for section in sections_of(text, name)]


# lines that mean something to the cutter, and such as nearly do
_lines = st.sampled_from(
    [
        *["# One", "## Two", "### Three ###", " ## Indented", "#no heading", "# ", "Title", "=====", "-----", "~~~~~"],
        *[
            "```",
            "```python",
            "~~~",
            "",
            "",
            "",
            "   ",
            "\t",
            "\f",
            "---",
            "- item. And more.",
            "| a | b |",
            "    code()",
        ],
        *["A sentence. Another one! A third?", "Wrapped text without an end", "日本語の文。次の文です。", "ünï cödé"],
        *[
            "x" * 300,
            "word " * 90,
            "Short sentences follow. " * 30,
            "\u2028",
            "\u00a0",
            "a" * 79 + " ",
            " " * 500 + ".",
        ],
    ]
)
_texts = st.lists(_lines, max_size=60).map("\n".join)
_any_texts = _texts | st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\t\f"), max_size=900)
_names = st.sampled_from(["text.md", "text.txt", "text.rst", "text.py"])
SMALL = Measure(120)


def _has_words(text: str) -> bool:
    return bool(text.encode("utf-8").strip())


@settings(max_examples=250, deadline=None)
@given(_any_texts.filter(_has_words), _names)
def test_sections_hold_all_of_the_text_once_and_in_order(text: str, name: str) -> None:
    with TemporaryDirectory() as directory, open_text(Path(directory), text, name) as opened:
        raw = Path(opened.text_path).read_bytes()
        sections = all_sections(opened, SMALL)
    position = 0
    for ordinal, section in enumerate(sections):
        assert section.ordinal == ordinal
        assert not raw[position : section.start].strip(b" \t\f\v\n")
        assert raw[section.start : section.end].decode() == section.text
        assert 0 < len(section.text) <= SMALL.target
        assert section.title
        position = section.end
    assert not raw[position:].strip(b" \t\f\v\n")


@settings(max_examples=150, deadline=None)
@given(_texts.filter(_has_words), _names, st.integers(1, 5))
@example("x" * 500 + "\n# One\nTwo\n=====\n" + " " * 500 + ".", "text.md", 1)
@example("word " * 200 + "# no heading " * 80, "text.md", 1)  # a line goes on in the middle
def test_a_cut_goes_on_exactly_where_the_last_one_ended(text: str, name: str, limit: int) -> None:
    with TemporaryDirectory() as directory, open_text(Path(directory), text, name) as opened:
        whole = all_sections(opened, SMALL)
        by_mark: list[Section] = []
        by_offset: list[Section] = []
        mark: Mark | None = Mark()
        offset: int | None = 0
        carrier = TypeAdapter(Mark)
        while mark is not None:
            taken = cut(opened, carrier.validate_json(carrier.dump_json(mark)), limit, measure=SMALL)
            by_mark += taken.sections
            mark = taken.mark
            assert len(taken.sections) == limit or mark is None
        while offset is not None:
            taken = cut(opened, offset, limit, measure=SMALL)
            by_offset += taken.sections
            offset = taken.next_offset
    assert by_mark == whole
    assert by_offset == whole


@settings(max_examples=100, deadline=None)
@given(_texts.filter(_has_words), _names, st.integers(1, 700))
def test_sections_do_not_depend_on_how_the_file_is_read(text: str, name: str, chunk: int) -> None:
    with TemporaryDirectory() as directory, open_text(Path(directory), text, name) as opened:
        whole = all_sections(opened, SMALL)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(window_module, "_CHUNK_BYTES", chunk)
            assert all_sections(opened, SMALL) == whole


def test_headings_make_titles_that_are_paths() -> None:
    body = "Words enough to stand alone. " * 30
    text = f"# Data model\n\n## Objects\n\n{body}\n\n### Identity `id` [here](x) ##\n{body}\n\n"
    text += f"Values\n------\n{body}\n\nEnd\n===\n\n{body}"
    assert titles(text) == [
        "Data model > Objects",
        "Data model > Objects > Identity id here",
        "Data model > Values",
        "End",
    ]


def test_tiny_sections_under_one_heading_are_put_together() -> None:
    text = "# Commands\n\n" + "\n\n".join(f"## run {i}\n\nRuns number {i} of them." for i in range(100))
    sections = sections_of(text)
    assert 4 <= len(sections) <= 9
    assert all(len(section.text) >= 400 for section in sections)
    assert sections[0].title == "Commands > run 0, run 1, run 2 …"


def test_a_heading_is_never_left_without_its_text() -> None:
    sections = sections_of("# Lonely\n\n" + "One sentence of many. " * 400)
    assert len(sections) > 1
    assert sections[0].text.startswith("# Lonely\n\nOne sentence of many.")
    assert len(sections[0].text) > 400


def test_a_number_sign_in_a_code_block_is_no_heading() -> None:
    filler = "Words enough to stand alone. " * 30
    text = f"# Real\n\n{filler}\n\n```sh\n# not a heading\n\n# nor this\n~~~\n```\n\n# Next\n\n{filler}"
    assert titles(text) == ["Real", "Next"]


def test_comments_of_source_code_are_no_headings() -> None:
    code = "# a comment\n\n" + "\n\n".join(f"def f{i}():\n    # inner\n    return {i}" for i in range(60))
    assert set(titles(code, "code.py")) == {"code.py"}


def test_front_matter_is_no_heading() -> None:
    text = "---\ntitle: Notes\n---\n\n# Birds\n\n" + "They flock together in the evening. " * 30
    assert titles(text) == ["Birds"]


@pytest.mark.parametrize("over", ["", "==========\n"])
def test_plain_text_is_cut_at_underlined_lines(over: str) -> None:
    body = "Words enough to stand alone. " * 30
    text = f"{over}Top\u00a0title\n==========\n\n{body}\n\nBelow\n~~~~~\n\n{body}\n\nAlso below\n~~~~~~~~~~\n\n{body}"
    assert titles(text, "text.rst") == ["Top title", "Top title > Below", "Top title > Also below"]
    assert titles(text, "text.txt") == ["Top title", "Top title > Below", "Top title > Also below"]


def test_no_sentence_is_cut_in_two() -> None:
    rng = random.Random(7)
    words = ["Dr. Smith", "e.g. notes", "version 3.11", "flock", "memory", "agents", "reads"]
    sentences = [" ".join(rng.choice(words) for _ in range(rng.randint(4, 30))).capitalize() + "." for _ in range(700)]
    long_paragraphs = [
        "\n".join(sentences[i : i + 70]) if i % 140 else " ".join(sentences[i : i + 70]) for i in range(0, 700, 70)
    ]
    assert all(4_000 < len(paragraph) < 16_000 for paragraph in long_paragraphs)
    sections = sections_of("\n\n".join(long_paragraphs))
    assert len(sections) > 20
    for section in sections:
        assert section.text.endswith(".")
        assert section.text.split("\n")[0][0].isupper()


def test_a_sentence_that_is_too_long_is_cut_at_spaces_and_a_word_that_is_anywhere() -> None:
    sections = sections_of("word " * 3_000 + "\n\n" + "ü" * 30_000)
    assert sum(section.text.count("word") for section in sections) == 3_000
    assert sum(section.text.count("ü") for section in sections) == 30_000
    assert all(len(section.text) <= 4_000 for section in sections)


# how an edit in the middle changes the sections: everything far from it is cut as before


def _sentence(rng: random.Random) -> str:
    words = ["the", "of", "memory", "agent", "flock", "note", "event", "log", "stream", "reads", "writes", "because"]
    return " ".join(rng.choice(words) for _ in range(rng.randint(5, 18))).capitalize() + "."


def _paragraph(rng: random.Random) -> str:
    return " ".join(_sentence(rng) for _ in range(rng.randint(1, 9)))


def _prose(rng: random.Random) -> list[str]:
    return [_paragraph(rng) for _ in range(300)]


def _chapters(rng: random.Random) -> list[str]:
    return [
        part
        for i in range(60)
        for part in [
            "#" * rng.choice([1, 2, 2, 3]) + f" Heading {i}",
            *(_paragraph(rng) for _ in range(rng.randint(0, 9))),
        ]
    ]


def _tiny_chapters(rng: random.Random) -> list[str]:
    return [part for i in range(150) for part in (f"## {_sentence(rng)[:20]} {i}", _sentence(rng))]


@pytest.mark.parametrize("make", [_prose, _chapters, _tiny_chapters])
def test_an_edit_changes_the_sections_that_hold_it_and_hardly_another(
    make: Callable[[random.Random], list[str]], tmp_path: Path
) -> None:
    rng = random.Random(11)
    paragraphs = make(rng)
    before = Counter(section.text for section in sections_of("\n\n".join(paragraphs)))
    assert len(before) > 20
    changed: list[int] = []
    for round_ in range(40):
        edited, place = list(paragraphs), rng.randrange(len(paragraphs))
        edited[place : place + (round_ % 4 != 0)] = [] if round_ % 4 == 1 else [_paragraph(rng)]
        after = Counter(section.text for section in sections_of("\n\n".join(edited)))
        changed.append((after - before).total())
    assert max(changed) <= 4
    assert sum(count <= 2 for count in changed) >= 36


def test_a_line_added_to_a_long_log_changes_hardly_a_section() -> None:
    rng = random.Random(3)
    lines = [f"{i % 24:02}:{i % 60:02} {rng.random()} something happened" for i in range(5_000)]
    before = Counter(section.text for section in sections_of("\n".join(lines), "app.log"))
    lines.insert(2_000, "one more thing happened")
    after = Counter(section.text for section in sections_of("\n".join(lines), "app.log"))
    assert len(before) > 30
    assert 1 <= (after - before).total() <= 3


def test_the_language_reference_is_cut_into_sections_worth_reading(tmp_path: Path) -> None:
    path = write_language_reference(tmp_path)
    with asyncio.run(open_document(Source("file", str(path), path.name), tmp_path)) as opened:
        assert not opened.spooled
        sections = all_sections(opened)
    assert 120 <= len(sections) <= 300
    assert max(len(section.text) for section in sections) <= 4_000
    assert sum(len(section.text) < 400 for section in sections) <= 3
    found = [section.title for section in sections]
    assert 'The "assert" statement' in found
    assert "Assignment statements > Augmented assignment statements" in found


def test_a_text_is_cut_otherwise_only_under_another_version() -> None:
    rng = random.Random(42)
    text = "\n\n".join(_chapters(rng) + _prose(rng)) + "\n\n" + "\n".join(f"{i}: a line" for i in range(3_000))
    cuts = [(section.start, section.end, section.title) for section in sections_of(text)]
    # Is this another digest now? Then raise CUTTER_VERSION, so that nobody takes old sections for new ones.
    assert (CUTTER_VERSION, hashlib.sha256(repr(cuts).encode()).hexdigest()[:16]) == (1, "1542e92e78b4a9ed")


def test_a_document_that_changes_after_it_was_opened_is_not_cut(tmp_path: Path) -> None:
    opened = open_text(tmp_path, "# One\n\nText.")
    with Path(opened.text_path).open("a") as file:
        file.write(" More.")
    with pytest.raises(DocumentChanged, match=r"text\.md: changed while it was being read; read it anew"):
        cut(opened)
    Path(opened.text_path).unlink()
    with pytest.raises(DocumentChanged, match="cannot be read any more"):
        cut(opened)


def test_what_was_opened_can_be_cut_by_another_process(tmp_path: Path) -> None:
    opened = open_text(tmp_path, "# One\n\nText.\r\n")
    assert opened.spooled
    carrier = TypeAdapter(Opened)
    assert cut(carrier.validate_json(carrier.dump_json(opened))) == cut(opened)
    opened.close()
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_cut_of_no_sections_is_refused(tmp_path: Path) -> None:
    with open_text(tmp_path, "Text.") as opened, pytest.raises(ValueError, match="at least one section"):
        cut(opened, limit=0)
    with pytest.raises(ValueError, match="too short"):
        Measure(10)

"""Sections hold all of a text, can be had a batch at a time, and are left alone by an edit elsewhere."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from roost.actors.documents import Mark, Measure, Opened, Section, Source, cut, open_document, write_language_reference
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


@settings(max_examples=150, deadline=None)
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


@settings(max_examples=100, deadline=None)
@given(_texts.filter(_has_words), _names, st.integers(1, 5))
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


@settings(max_examples=60, deadline=None)
@given(_texts.filter(_has_words), _names, st.integers(1, 700))
def test_sections_do_not_depend_on_how_the_file_is_read(text: str, name: str, chunk: int) -> None:
    with TemporaryDirectory() as directory, open_text(Path(directory), text, name) as opened:
        whole = all_sections(opened, SMALL)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(window_module, "_CHUNK_BYTES", chunk)
            assert all_sections(opened, SMALL) == whole

"""How a document is split into units that can be quoted whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.actors.models.sentence import MAX_SENTENCE_CHARACTERS, Kind, split_sentences

MARKDOWN = """\
# Owls

An owl is a bird
of prey. It hunts at night, e.g. for mice. See Dr. Brown, 2.5 km away.

Feathers
========

> Quoted lines
> are prose.

- They are soft. They make no noise.
* Their colour
  is brown.
2) They are many.

| part | length |
|------|-------:|
| wing | 30 cm  |

```python
owl = Owl(age=3)
owl.fly()
```

[![badge](https://x.example/b.svg)](https://x.example)

***
The end of it.
"""


def test_markdown_becomes_sentences_items_rows_code_and_titles() -> None:
    assert [(unit.kind, unit.text) for unit in split_sentences(MARKDOWN)] == [
        (Kind.HEADING, "Owls"),
        (Kind.PROSE, "An owl is a bird of prey."),
        (Kind.PROSE, "It hunts at night, e.g. for mice."),
        (Kind.PROSE, "See Dr. Brown, 2.5 km away."),
        (Kind.HEADING, "Feathers"),
        (Kind.PROSE, "Quoted lines are prose."),
        (Kind.ITEM, "They are soft."),
        (Kind.ITEM, "They make no noise."),
        (Kind.ITEM, "Their colour is brown."),
        (Kind.ITEM, "They are many."),
        (Kind.ROW, "| part | length |"),
        (Kind.ROW, "| wing | 30 cm |"),
        (Kind.CODE, "owl = Owl(age=3)"),
        (Kind.CODE, "owl.fly()"),
        (Kind.CODE, "[![badge](https://x.example/b.svg)](https://x.example)"),
        (Kind.PROSE, "The end of it."),
    ]


def test_a_source_file_is_code_but_for_what_its_authors_wrote_in_words() -> None:
    source = """\
import os

def fly(owl):
    '''The owl flies to the next tree that is free.'''
    # An owl spreads its wings first
    owl.wings = [1, 2]
"""
    kinds = {unit.text: unit.kind for unit in split_sentences(source)}
    assert kinds == {
        "import os": Kind.CODE,
        "def fly(owl):": Kind.CODE,
        "The owl flies to the next tree that is free.": Kind.PROSE,
        "An owl spreads its wings first": Kind.PROSE,
        "owl.wings = [1, 2]": Kind.CODE,
    }


def test_a_citation_stays_with_the_sentence_before_it() -> None:
    texts = [unit.text for unit in split_sentences("Owls hunt at night. [3] They sleep by day. [4] [5] They are many.")]
    assert texts == ["Owls hunt at night. [3]", "They sleep by day. [4] [5]", "They are many."]


def test_chinese_and_japanese_end_their_sentences_too() -> None:
    assert [unit.text for unit in split_sentences("猫头鹰晚上打猎。它们白天睡觉。")] == [
        "猫头鹰晚上打猎。",
        "它们白天睡觉。",
    ]


@pytest.mark.parametrize("text", ["", "  \n\t ", "```\n```", "---\n***"])
def test_what_holds_no_text_has_no_sentences(text: str) -> None:
    assert split_sentences(text) == []


@pytest.mark.parametrize("text", ["x" * 5000, "“" * 100_000, "word " * 3000, "(" * 9000, "a.b;" * 4000])
def test_no_unit_is_endless_and_none_takes_endless_time(text: str) -> None:
    units = split_sentences(text)
    assert max(len(unit.text) for unit in units) <= MAX_SENTENCE_CHARACTERS
    assert "".join("".join(unit.text for unit in units).split()) == "".join(text.split())


LETTERS = "aB1é猫. !?\n\t-#>|`*=[](){}“\u2028\x0b\x85\u0301😀"


@given(st.text(alphabet=LETTERS, max_size=200) | st.text(max_size=200))
def test_units_are_the_document_s_own_characters_in_its_order(text: str) -> None:
    rest = iter(text)
    for unit in split_sentences(text):
        assert unit.text == unit.text.strip() != ""
        assert "\n" not in unit.text
        assert all(character in rest for character in "".join(unit.text.split()))


@given(st.lists(st.text(alphabet="abc .!?é猫“)", min_size=1, max_size=40), max_size=6))
def test_sentences_of_plain_prose_stand_in_it_word_for_word_and_none_is_lost(lines: list[str]) -> None:
    prose = "It is " + "\nand ".join(lines)
    units = split_sentences(prose)
    assert all(unit.text in " ".join(prose.split()) for unit in units)
    assert "".join("".join(unit.text for unit in units).split()) == "".join(prose.split())

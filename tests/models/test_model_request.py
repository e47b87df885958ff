"""A request: what it refuses before it costs anything, and what its fingerprint takes in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.actors.models import Input, InvalidRequest, Request

REQUEST = Request("Summarise", (Input("[1]", "One."), Input("[2]", "Two.")), "Why?", 3, 100, 0.5, 7)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("instructions", "Summarise!"),
        ("inputs", (Input("[2]", "Two."), Input("[1]", "One."))),
        ("inputs", (Input("[1]", "One.Two."), Input("[2]", ""))),
        ("inputs", (Input("[1]One.", ""), Input("[2]", "Two."))),
        ("inputs", ()),
        ("question", "How?"),
        ("question", None),
        ("question", ""),
        ("sentences", 4),
        ("sentences", None),
        ("max_output_tokens", 101),
        ("max_output_tokens", None),
        ("temperature", 0.25),
        ("temperature", None),
        ("seed", 8),
        ("seed", None),
    ],
)
def test_every_part_of_a_request_changes_its_fingerprint(field: str, value: Any) -> None:
    assert replace(REQUEST, **{field: value}).fingerprint() != REQUEST.fingerprint()


def test_the_fingerprint_is_the_same_in_every_process_and_release() -> None:
    assert REQUEST.fingerprint() == "ed6deee7eeb849e25a22524f4d748075dd16db2f"


def test_a_temperature_of_0_is_one_of_0_point_0() -> None:
    assert replace(REQUEST, temperature=0).fingerprint() == replace(REQUEST, temperature=0.0).fingerprint()


texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
requests = st.builds(
    Request,
    st.text(alphabet="ab", min_size=1, max_size=3),
    st.lists(st.builds(Input, texts, texts), max_size=3).map(tuple),
    st.none() | texts,
)


@given(requests, requests)
def test_only_equal_requests_have_equal_fingerprints(one: Request, other: Request) -> None:
    assert (one == other) == (one.fingerprint() == other.fingerprint())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sentences": 0}, "from 1 to 64"),
        ({"sentences": 65}, "from 1 to 64"),
        ({"max_output_tokens": 0}, "at least 1"),
        ({"temperature": -0.1}, "from 0 up"),
        ({"temperature": float("nan")}, "from 0 up"),
        ({"temperature": float("inf")}, "from 0 up"),
        ({"seed": 2**63}, "64 bits"),
        ({"instructions": " ", "inputs": (), "question": " "}, "empty"),
    ],
)
def test_a_request_that_no_model_could_take_is_refused_when_it_is_made(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        replace(REQUEST, **wrong)


@pytest.mark.parametrize("field", ["instructions", "question"])
def test_text_that_is_not_unicode_is_refused_in_plain_words(field: str) -> None:
    broken: dict[str, Any] = {field: "broken \udc80 text"}
    with pytest.raises(InvalidRequest, match="not valid Unicode"):
        replace(REQUEST, **broken)


def test_a_document_that_is_not_unicode_is_refused_in_plain_words() -> None:
    for broken in (Input("", "broken \udc80 text"), Input("broken \udc80 label", "")):
        with pytest.raises(InvalidRequest, match="not valid Unicode"):
            Request("Summarise", (broken,))


def test_input_tokens_are_estimated_as_a_quarter_of_all_characters() -> None:
    assert Request("abcd", (Input("[1]", "x" * 10),), "why").estimated_input_tokens() == 5

"""The offline model: what it picks, that it always picks the same, and what it says when there is nothing to pick."""

from __future__ import annotations

from roost.actors.models import Input, OfflineModel, Request


async def test_the_answer_is_whole_sentences_of_the_input_in_their_order() -> None:
    text = "Cats sleep for most of the day. Cats hunt mice at night in the barn. The barn is old and has a red roof."
    answer = await OfflineModel().complete(Request("Summarise", (Input("", text),), sentences=2))
    first, second = answer.text.split(". ")
    assert text.index(first) < text.index(second)

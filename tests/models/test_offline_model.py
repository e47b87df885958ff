"""The offline model: what it picks, that it always picks the same, and what it says when there is nothing to pick."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from roost_tests.waiting import wait_until

from roost.actors.models import (
    AnswerCutOff,
    EmptyAnswer,
    Input,
    ModelNotConfigured,
    ModelRefusedRequest,
    OfflineModel,
    Request,
)
from roost.actors.models.extraction import extract
from roost.actors.models.sentence import split_sentences

OWLS = (
    "Owls hunt at night. Owls hunt mice and voles by their noise. An owl lays its eggs in a hollow tree. "
    "Corn grows in summer. The noise of mice in the corn tells owls where to hunt. Farmers like owls."
)


def ask(*documents: str, question: str | None = None, sentences: int | None = None) -> str:
    labelled = tuple(Input(f"[{number}]", text) for number, text in enumerate(documents, 1))
    return extract(Request("Summarise.", labelled, question, sentences))


async def test_an_answer_is_whole_sentences_of_the_input_in_its_order() -> None:
    answer = await OfflineModel().complete(Request("Summarise.", (Input("Owls", OWLS),), sentences=3))
    units = [unit.text for unit in split_sentences(OWLS)]
    picked = [unit for unit in units if unit in answer.text]
    assert answer.text == " ".join(picked)
    assert len(picked) == 3


async def test_an_answer_says_honestly_what_it_is_and_what_was_counted() -> None:
    model = OfflineModel()
    request = Request("Summarise.", (Input("", OWLS),))
    answer = await model.complete(request)
    assert (answer.model, answer.cost_usd, answer.tokens_estimated) == ("offline", Decimal(0), True)
    assert answer.input_tokens == request.estimated_input_tokens()
    assert answer.output_tokens == -(-len(answer.text) // 4)
    assert model.cost(answer.usage) == answer.cost_usd
    await model.close()


def test_a_question_decides_what_is_picked() -> None:
    assert ask(OWLS, question="Where do owls lay eggs?", sentences=1) == "An owl lays its eggs in a hollow tree. [1]"
    assert ask(OWLS, question="When does corn grow?", sentences=1) == "Corn grows in summer. [1]"


def test_each_sentence_is_followed_by_the_label_of_the_document_it_comes_from() -> None:
    documents = (
        "Owls hunt mice at night. They sleep by day.",
        "Corn grows in summer. Mice eat corn.",
        "Cats hunt mice.",
    )
    for line in ask(*documents, sentences=5).replace("] ", "]\n").splitlines():
        sentence, label = line[:-4], line[-3:]
        assert sentence in documents[int(label[1]) - 1]


def test_without_a_question_no_document_takes_all_the_room() -> None:
    hubs = [[f"x{hub}{part}" for part in "pqrs"] for hub in range(4)]  # each sums up four sentences of its own
    spokes = [f"There is {word} and {word}z." for hub in hubs for word in hub]
    long = " ".join([*spokes, *(f"We have {', '.join(hub)}." for hub in hubs)])
    assert ask(long, sentences=3).count("We have") == 3
    short = ("The barn is built of oak.", "The corn grows in summer.")
    assert [ask(long, *short, sentences=3).count(each) for each in ("We have", *short)] == [2, 1, 0]


@pytest.mark.parametrize(
    ("labels", "endings"),
    [(["Owls"], [""]), (["[7]"], [" [7]"]), (["a.md", "b.md"], [" [a.md]", " [b.md]"]), (["", "[2]"], ["", " [2]"])],
)
def test_a_single_title_is_no_citation_but_brackets_and_several_titles_are(
    labels: list[str], endings: list[str]
) -> None:
    texts = ["Owls hunt mice at night.", "Corn grows in wet summers."]
    inputs = tuple(Input(label, text) for label, text in zip(labels, texts, strict=False))
    expected = " ".join(text + ending for text, ending in zip(texts, endings, strict=False))
    assert extract(Request("Summarise.", inputs)) == expected


def test_labels_inside_a_document_without_a_label_survive_a_second_summary() -> None:
    summary = "Owls hunt mice at night. [3] Corn grows in wet summers. [4]"
    assert extract(Request("Summarise.", (Input("", summary),))) == summary


def test_what_was_said_already_is_not_said_again() -> None:
    text = "Owls hunt mice in the old barn. In the old barn, owls hunt mice! Corn grows in wet summers."
    assert ask(text, sentences=3) == "Owls hunt mice in the old barn. [1] Corn grows in wet summers. [1]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no full stop", "no full stop"),
        ("One sentence only, and it ends here.", "One sentence only, and it ends here."),
        ("word", "word"),
        ("?!", "?!"),
        ("```\n```", "``` ```"),
        ("---", "---"),
        ("# A title alone", "A title alone"),
        ("- milk\n- bread", "milk\nbread"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "| a | b |\n| 1 | 2 |"),
        ("x = f(1);\ny = g(x);", "x = f(1);\ny = g(x);"),
        ("猫头鹰晚上打猎。", "猫头鹰晚上打猎。"),
    ],
)
def test_text_of_any_kind_has_an_answer(text: str, expected: str) -> None:
    assert extract(Request("Summarise.", (Input("", text),))) == expected


def test_prose_is_picked_before_code_and_titles() -> None:
    text = "# Owls of the world\n\nowl = Owl(3); owl.fly()\n\nOwls hunt mice at night.\n\n| owl | 3 | owls |"
    assert ask(text, sentences=1) == "Owls hunt mice at night. [1]"


def test_a_question_may_be_answered_by_a_table_row() -> None:
    text = "Owls hunt mice at night. They sleep by day.\n\n| colour | brown |\n| wing span | 90 cm |"
    assert ask(text, question="What is the wing span?", sentences=1) == "| wing span | 90 cm | [1]"


@pytest.mark.parametrize("inputs", [(), (Input("[1]", ""),), (Input("[1]", " \n"), Input("[2]", "\t"))])
async def test_nothing_to_read_is_an_error_and_no_empty_answer(inputs: tuple[Input, ...]) -> None:
    with pytest.raises(EmptyAnswer, match="no text to pick from"):
        await OfflineModel().complete(Request("Summarise.", inputs))


async def test_too_much_to_read_is_refused() -> None:
    with pytest.raises(ModelRefusedRequest, match="4,000,000: split it"):
        await OfflineModel().complete(Request("Summarise.", (Input("", "owl " * 1_000_001),)))


def test_an_answer_keeps_to_max_output_tokens_and_leaves_the_lesser_sentences_out() -> None:
    inputs = (Input("", OWLS),)
    answers = [extract(Request("Summarise.", inputs, sentences=6, max_output_tokens=tokens)) for tokens in (8, 20, 40)]
    assert [len(answer) <= tokens * 4 for answer, tokens in zip(answers, (8, 20, 40), strict=True)] == [True] * 3
    assert len(answers[0]) < len(answers[1]) < len(answers[2])
    with pytest.raises(AnswerCutOff, match="no sentence fits into 2 tokens"):
        extract(Request("Summarise.", inputs, max_output_tokens=2))


WORDS = st.sampled_from(
    [
        "owl",
        "mouse",
        "corn",
        "barn",
        "night",
        "hunts",
        "sleeps",
        "the",
        "in",
        "猫",
        "Élan",
        "x=1;",
        "[2]",
        "https://a.b",
    ]
)
SENTENCES = st.lists(WORDS, min_size=1, max_size=9).map(lambda words: " ".join(words).capitalize())
ENDED = st.tuples(SENTENCES, st.sampled_from([". ", "! ", "?\n", "\n", "\n\n- ", "\n\n"])).map("".join)
DOCUMENTS = st.lists(st.lists(ENDED, max_size=12).map("".join), min_size=1, max_size=4)


@given(DOCUMENTS, st.none() | SENTENCES, st.integers(1, 8))
def test_every_answer_is_made_of_units_of_its_documents_and_their_labels(
    documents: list[str], question: str | None, sentences: int
) -> None:
    if not "".join(documents).strip():
        with pytest.raises(EmptyAnswer):
            ask(*documents, question=question, sentences=sentences)
        return
    rest = ask(*documents, question=question, sentences=sentences)
    given_units = [f"{unit.text} [{n}]" for n, text in enumerate(documents, 1) for unit in split_sentences(text)]
    picked = 0
    for unit in given_units:  # in the documents' order, so that one pass takes the answer apart
        if rest == unit or rest.startswith((unit + " ", unit + "\n")):
            rest = rest[len(unit) + 1 :]
            picked += 1
    assert rest == ""
    assert 1 <= picked <= sentences


PROBE = """
import sys
from roost.actors.models import Input, Request
from roost.actors.models.extraction import extract
text = sys.stdin.read()
parts = [text[start:start + 3000] for start in range(0, len(text), 3000)]
inputs = tuple(Input(f"[{n}]", part) for n, part in enumerate(parts))
for question in (None, "which animals hunt at night, and where?"):
    print(extract(Request("Summarise.", inputs, question, 20)))
"""


async def test_the_answer_is_the_same_in_every_process_whatever_its_hash_seed() -> None:
    animals, places = ["owl", "cat", "fox", "bat", "dog", "hen"], ["barn", "wood", "field", "house"]
    text = " ".join(
        f"The {animals[n % 6]} hunts {animals[n * 5 % 6]}s in the {places[n % 4]} at {n % 13}, {n * n % 17} times."
        for n in range(300)
    )

    async def probe(seed: str) -> bytes:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROBE, stdin=pipe, stdout=pipe, env=environment
        )
        out, _ = await process.communicate(text.encode())
        assert process.returncode == 0
        return out

    answers = await asyncio.gather(*(probe(seed) for seed in ("0", "1", "77")))
    assert answers[0].count(b"[") >= 20
    assert len(set(answers)) == 1


async def test_a_simulated_latency_is_waited_for_and_told_but_changes_no_answer() -> None:
    near, far = OfflineModel(), OfflineModel(latency=timedelta(milliseconds=300))
    request = Request("Summarise.", (Input("", OWLS),))
    started = time.perf_counter()
    answer = await far.complete(request)
    assert time.perf_counter() - started >= 0.3
    assert answer.duration_ms >= 300
    assert answer.text == (await near.complete(request)).text
    assert (near.label, far.label) == ("offline", "offline (simulated latency 300 ms)")
    assert (near.name, near.identity) == (far.name, far.identity)
    assert "300 ms" in repr(far)


def test_a_negative_latency_is_refused() -> None:
    with pytest.raises(ModelNotConfigured, match="negative"):
        OfflineModel(latency=timedelta(seconds=-1))


def test_the_identity_names_the_algorithm_and_its_libraries() -> None:
    assert [part.partition("/")[0] for part in OfflineModel().identity.split()] == [
        "offline",
        "sumy",
        "sentencex",
        "nltk",
    ]


async def test_the_loop_goes_on_while_a_large_document_is_read() -> None:
    reading = asyncio.create_task(OfflineModel().complete(Request("Summarise.", (Input("", OWLS * 2000),))))
    ticks = 0
    while not reading.done():
        await asyncio.sleep(0.005)
        ticks += 1
    assert (await reading).text
    assert ticks >= 5


async def test_two_threads_work_at_once_even_when_callers_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    release, lock, running, most = threading.Event(), threading.Lock(), 0, 0

    def slow(request: Request) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        release.wait(10)
        with lock:
            running -= 1
        return extract(request)

    monkeypatch.setattr("roost.actors.models.offline.extract", slow)
    model = OfflineModel()
    request = Request("Summarise.", (Input("", OWLS),))
    given_up = [asyncio.create_task(model.complete(request)) for _ in range(2)]
    await wait_until(lambda: running == 2)
    for task in given_up:
        task.cancel()
    await asyncio.gather(*given_up, return_exceptions=True)
    others = [asyncio.create_task(model.complete(request)) for _ in range(4)]
    for _ in range(20):  # turns of the loop, in which a third could start
        await asyncio.sleep(0.005)
    release.set()
    assert len({answer.text for answer in await asyncio.gather(*others)}) == 1
    assert most == 2


async def test_a_section_of_4_000_characters_takes_milliseconds() -> None:
    model = OfflineModel()
    request = Request("Summarise.", (Input("", (OWLS * 30)[:4000]),))
    await model.complete(request)  # the first loads the libraries
    fastest = min([(await model.complete(request)).duration_ms for _ in range(10)])
    assert fastest < 40  # 5 ms on an idle machine

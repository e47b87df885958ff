"""Which sentences the offline model finds most telling."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sumy.summarizers.lex_rank import LexRankSummarizer  # type: ignore[import-untyped]  # sumy ships no types

from roost.actors.models.ranking import BLOCK, LexRank, rank, relevance
from roost.actors.models.words import content_words

sentences = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=6), min_size=1, max_size=12)


@given(sentences)
def test_the_matrix_is_the_one_that_sumy_computes(words: list[list[str]]) -> None:
    sumy: Any = LexRankSummarizer()
    ours: Any = LexRank()
    frequencies = sumy._compute_tf(words)
    assert ours._compute_idf(words) == sumy._compute_idf(words)
    matrix = sumy._create_matrix(words, sumy.threshold, frequencies, sumy._compute_idf(words))
    found = ours._create_matrix(words, ours.threshold, frequencies, ours._compute_idf(words))
    assert np.allclose(found, matrix)


@given(sentences)
def test_scores_go_from_0_to_1_and_one_sentence_is_the_best(words: list[list[str]]) -> None:
    scores = LexRank().scores(words)
    assert len(scores) == len(words)
    assert max(scores) == 1
    assert min(scores) >= 0


def test_the_sentence_that_has_most_in_common_with_the_others_comes_first() -> None:
    others = ["Owls hunt at dusk", "Mice eat seeds", "Corn grows tall", "Foxes dig holes", "Cats sleep long"]
    words = [content_words(text) for text in [*others, "Owls, mice, foxes, cats: all live in corn"]]
    assert rank(words)[0] == 5


def test_a_question_draws_up_the_sentences_that_take_up_its_rare_words() -> None:
    texts = ["Owls hunt mice", "Owls hunt at night", "Owls lay eggs in hollow trees", "Owls hunt voles"]
    words = [content_words(text) for text in texts]
    assert rank(words, content_words("Where does an owl lay its egg?"))[0] == 2
    assert relevance(words, content_words("Where does an owl lay its egg?"))[2] == 1


def test_a_question_that_nothing_takes_up_changes_nothing() -> None:
    words = [content_words(text) for text in ("Owls hunt mice", "Mice eat corn", "Corn is corn")]
    assert rank(words, content_words("helicopters?")) == rank(words)
    assert relevance(words, ["helicopter"]) == [0, 0, 0]


def test_the_earlier_of_two_equal_sentences_comes_first() -> None:
    assert rank([["owl"], ["owl"], ["owl"]]) == [0, 1, 2]


def test_sentences_without_any_words_are_ranked_too() -> None:
    assert rank([[], [], []]) == [0, 1, 2]
    assert rank([[]]) == [0]
    assert rank([]) == []


def test_more_than_a_block_is_ranked_in_rounds_and_the_best_comes_through() -> None:
    words = [[f"w{index % 50}", f"v{index % 7}"] for index in range(BLOCK * 20 + 1)]
    words[1700] = ["owl", "egg"]
    order = rank(words, ["owl", "egg"])
    assert order[0] == 1700
    assert len(order) <= BLOCK


def test_so_many_come_through_the_rounds_as_were_asked_for() -> None:
    words = [[f"w{index}"] for index in range(BLOCK + 1)]
    assert len(rank(words, at_least=64)) >= 64

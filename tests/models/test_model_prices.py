"""What calls cost: the public list, the user's own table, and None where nobody knows."""

from __future__ import annotations

import json
import socket
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from roost.actors.models import ModelNotConfigured, PriceTable, Usage, cost
from roost.actors.models.prices import cost_cached

USAGE = Usage(input_tokens=1_000_000, output_tokens=100_000, cached_tokens=400_000)
TABLE = {"openai/owl": {"input": 2.5, "output": 10, "cached": 0.1}}
OWL_COST = Decimal("0.6") * Decimal("2.5") + Decimal("0.4") * Decimal("0.1") + Decimal("0.1") * 10


def test_the_public_list_knows_common_models_and_that_cached_tokens_cost_less() -> None:
    found = cost("openai/gpt-4o-mini", USAGE)
    fresh = cost("openai/gpt-4o-mini", Usage(1_000_000, 100_000))
    assert isinstance(found, Decimal)
    assert fresh is not None
    assert 0 < found < fresh


TOLD = Usage(1_000_000, 100_000, 0, tells_cached=True)


def test_a_call_whose_input_had_been_cached_whole_costs_what_cached_tokens_do() -> None:
    table = PriceTable.load(TABLE)
    assert cost_cached("openai/owl", TOLD, table=table) == Decimal("0.1") + Decimal("0.1") * 10
    public, fresh = cost_cached("openai/gpt-4o-mini", TOLD), cost("openai/gpt-4o-mini", TOLD)
    assert public is not None
    assert fresh is not None
    assert 0 < public < fresh
    assert public == cost("openai/gpt-4o-mini", Usage(1_000_000, 100_000, 1_000_000))


@pytest.mark.parametrize(
    ("name", "usage", "public"),
    [
        ("openai/gpt-4o-mini", Usage(1_000_000, 100_000), True),  # its server tells of no cache
        ("openai/gpt-4", TOLD, True),  # has no price for what was cached
        ("openai/no-such-model", TOLD, True),
        ("openai/gpt-4o-mini", TOLD, False),  # a server of one's own
    ],
)
def test_without_a_cache_that_is_told_of_and_its_price_nobody_knows(name: str, usage: Usage, public: bool) -> None:
    assert cost_cached(name, usage, public=public) is None


def test_a_table_without_a_price_for_cached_tokens_does_not_know_it() -> None:
    assert cost_cached("openai/owl", TOLD, table=PriceTable.load({"owl": {"input": 3, "output": 0}})) is None


def test_the_public_list_is_read_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert cost("openai/gpt-4o", USAGE)


@pytest.mark.parametrize("name", ["openai/no-such-model", "openai/llama3", "openai/claude-sonnet-4-5", "gpt-4o-mini"])
def test_what_nobody_knows_has_no_price(name: str) -> None:
    assert cost(name, USAGE) is None


def test_a_server_of_one_s_own_has_a_price_by_the_user_s_table_only() -> None:
    assert cost("openai/gpt-4o-mini", USAGE, public=False) is None
    assert cost("openai/owl", USAGE, table=PriceTable.load(TABLE), public=False) == OWL_COST


def test_the_user_s_table_comes_before_the_public_list() -> None:
    table = PriceTable.load({"gpt-4o-mini": {"input": 0, "output": 0}})
    assert cost("openai/gpt-4o-mini", USAGE, table=table) == 0


def test_without_a_price_for_cached_tokens_they_cost_as_any() -> None:
    table = PriceTable.load({"owl": {"input": 3, "output": 0}})
    assert cost("openai/owl", USAGE, table=table) == 3


@pytest.mark.parametrize("name", ["prices.toml", "prices.json"])
def test_a_table_may_be_a_file(name: str, tmp_path: Path) -> None:
    toml = '["openai/owl"]\ninput = 2.5\noutput = 10\ncached = 0.1\n'
    (tmp_path / name).write_text(toml if name.endswith("toml") else json.dumps(TABLE), encoding="utf-8")
    for source in (tmp_path / name, str(tmp_path / name)):
        assert cost("openai/owl", USAGE, table=PriceTable.load(source)) == OWL_COST


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"owl": {"input": 1}}, "model owl: output is missing"),
        ({"owl": {}}, "input and output is missing"),
        ({"owl": 3}, "give input and output"),
        ({"owl": {"input": "1", "output": 1}}, "input: '1' is not a number"),
        ({"owl": {"input": True, "output": 1}}, "True is not a number"),
        ({"owl": {"input": -1, "output": 1}}, "-1 is not a price"),
        ({"owl": {"input": float("nan"), "output": 1}}, "not a price"),
        ({"owl": {"input": 1, "output": 1, "ouput": 1}}, "ouput is not one of input, output, cached"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelNotConfigured, match=message):
        PriceTable.load(table)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("missing.toml", None, "cannot be read: No such file"),
        ("prices.toml", "owl = [", "is not valid TOML or JSON"),
        ("prices.json", "{", "is not valid TOML or JSON"),
        ("prices.json", "[1]", "must map model names to prices"),
        ("prices.json", '{"owl": {"input": NaN, "output": 1}}', "not a price"),
        ("prices.toml", "\udcff", "is not valid TOML or JSON"),
        ("prices.toml", "#" * 1024 * 1024 + "\n", "over 1 MiB"),
    ],
)
def test_a_file_that_cannot_be_a_table_is_refused(name: str, text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ModelNotConfigured, match=message):
        PriceTable.load(tmp_path / name)

"""What a call costs, in US dollars: by the user's table, else by the public price list that genai-prices carries.

Nothing here uses the network: the list is the one in the installed package.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from .errors import ModelNotConfigured
from .usage import Usage

MILLION = Decimal(1_000_000)
MAX_TABLE_BYTES = 1024 * 1024
OPENAI = "openai/"


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens. `cached` is for input tokens that the server had cached; None: as `input`."""

    input: Decimal
    output: Decimal
    cached: Decimal | None = None

    def cost(self, usage: Usage) -> Decimal:
        fresh, cached = usage.input_tokens - usage.cached_tokens, self.input if self.cached is None else self.cached
        return (fresh * self.input + usage.cached_tokens * cached + usage.output_tokens * self.output) / MILLION


@dataclass(frozen=True, slots=True)
class PriceTable:
    """The user's own prices, by model name: `openai/<name>`, or the bare name."""

    prices: Mapping[str, Price]

    @classmethod
    def load(cls, source: PriceSource) -> PriceTable:
        """From a mapping, or from a TOML or JSON file of the same shape: `{name: {input, output, cached}}`, in US
        dollars per million tokens; `cached` is as `input` when it is left out. Anything else: `ModelNotConfigured`.
        """
        if isinstance(source, PriceTable):
            return source
        if isinstance(source, Mapping):
            return cls(_prices(source, "the price table"))
        path = Path(source)
        return cls(_prices(_read(path), f"price table {path}"))

    def find(self, name: str) -> Price | None:
        return self.prices.get(name) or self.prices.get(name.removeprefix(OPENAI))


PriceSource = PriceTable | Mapping[str, Any] | Path | str


def cost(name: str, usage: Usage, *, table: PriceTable | None = None, public: bool = True) -> Decimal | None:
    """The price of a call to `openai/<name>`, None when nobody knows it.

    `public=False` asks the user's table only: a server of one's own charges nothing of what is on the public list,
    whatever its models are called.
    """
    if table and (price := table.find(name)):
        return price.cost(usage)
    return _public_cost(name.removeprefix(OPENAI), usage) if public and name.startswith(OPENAI) else None


def cost_cached(name: str, usage: Usage, *, table: PriceTable | None = None, public: bool = True) -> Decimal | None:
    """As `cost`, had the server found all of the input in its own cache. None too where it keeps no such cache that it
    tells of, or takes no price of its own for what it finds there."""
    if not usage.tells_cached:
        return None
    found = replace(usage, cached_tokens=usage.input_tokens)
    if table and (price := table.find(name)):
        return None if price.cached is None else price.cost(found)
    if not public or not name.startswith(OPENAI):
        return None
    return _public_cost(name.removeprefix(OPENAI), found, needs_cached=True)


def _public_cost(model: str, usage: Usage, *, needs_cached: bool = False) -> Decimal | None:
    import genai_prices  # a fifth of a second to import; without UpdatePrices it never asks the network

    used = genai_prices.Usage(
        input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, cache_read_tokens=usage.cached_tokens
    )
    try:
        found = genai_prices.calc_price(used, model, provider_id="openai")
    except LookupError:
        return None
    if needs_cached and getattr(found.model_price, "cache_read_mtok", None) is None:
        return None
    return found.total_price


def _read(path: Path) -> object:
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise ModelNotConfigured(f"price table {path} is over 1 MiB: that cannot be one")
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() == ".json":
            return json.loads(text, parse_float=Decimal, parse_int=Decimal)
        return tomllib.loads(text, parse_float=Decimal)
    except OSError as error:
        raise ModelNotConfigured(f"price table {path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # wrong TOML, JSON or UTF-8
        raise ModelNotConfigured(f"price table {path} is not valid TOML or JSON: {error}") from error


def _prices(table: object, where: str) -> dict[str, Price]:
    if not isinstance(table, Mapping):
        raise ModelNotConfigured(f"{where} must map model names to prices")
    named = cast("Mapping[object, object]", table)
    return {str(name): _price(entry, f"{where}, model {name}") for name, entry in named.items()}


def _price(entry: object, where: str) -> Price:
    if not isinstance(entry, Mapping):
        raise ModelNotConfigured(f"{where}: give input and output, in US dollars per million tokens")
    fields = dict(cast("Mapping[str, object]", entry))
    if unknown := sorted(set(fields) - {"input", "output", "cached"}):
        raise ModelNotConfigured(f"{where}: {', '.join(map(str, unknown))} is not one of input, output, cached")
    if missing := [field for field in ("input", "output") if field not in fields]:
        raise ModelNotConfigured(f"{where}: {' and '.join(missing)} is missing (US dollars per million tokens)")
    dollars = {field: _dollars(value, f"{where}, {field}") for field, value in fields.items()}
    return Price(dollars["input"], dollars["output"], dollars.get("cached"))


def _dollars(value: object, where: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ModelNotConfigured(f"{where}: {value!r} is not a number")
    amount = Decimal(str(value))  # by way of str: Decimal(0.1) has 55 digits
    if not amount.is_finite() or amount < 0:
        raise ModelNotConfigured(f"{where}: {value} is not a price; give 0 or more")
    return amount

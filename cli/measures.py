"""Durations, times and sizes as options take them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import click

_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BYTES = {"b": 1, "kb": 1024, "kib": 1024, "mb": 1024**2, "mib": 1024**2, "gb": 1024**3, "gib": 1024**3}
MOST = timedelta(days=36_500)


class Duration(click.ParamType[timedelta]):
    """7d, 12h, 30m, 45s."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)", str(value).strip().lower())
        if match is None or float(match[1]) * _SECONDS[match[2]] > MOST.total_seconds():
            self.fail(f"{value!r} is no duration; write 7d, 12h, 30m or 45s", param, ctx)
        return timedelta(seconds=float(match[1]) * _SECONDS[match[2]])


class Moment(click.ParamType[int]):
    """A time, as milliseconds since 1970: 2026-11-23T14:03:10Z, 14:03:10 (today), or 2h (ago). Without a zone it is
    this machine's."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text, now = str(value).strip(), datetime.now().astimezone()
        try:
            if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2}(\.\d{1,6})?)?", text):
                moment = datetime.fromisoformat(f"{now.date()}T{text.zfill(5) if len(text) < 5 else text}")
            elif re.fullmatch(r"\d+(\.\d+)?\s*[a-z]+", text.lower()):
                moment = now - Duration().convert(text, param, ctx)
            else:
                moment = datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no time; write 2026-11-23T14:03:10Z, 14:03:10, or 2h for two hours ago", param, ctx
            )
        return int(moment.timestamp() * 1000)


class Size(click.ParamType[int]):
    """A number of bytes: 4096, 512mb, 2gb."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)\s*(b|kb|kib|mb|mib|gb|gib)?", str(value).strip().lower())
        if match is None or float(match[1]) * _BYTES[match[2] or "b"] < 1:
            self.fail(f"{value!r} is no size; write 512mb or 2gb", param, ctx)
        return round(float(match[1]) * _BYTES[match[2] or "b"])


class Amount(click.ParamType[int]):
    """A number of bytes, 512mb, or a share of what the server may use, 70%: that is a negative number of percent."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value).strip().lower()
        share = re.fullmatch(r"(\d{1,2})\s*%", text)
        if share is not None and int(share[1]):
            return -int(share[1])
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(b|kb|kib|mb|mib|gb|gib)", text)
        if match is None or float(match[1]) * _BYTES[match[2]] < 1:
            self.fail(f"{value!r} is no amount of memory; write 512mb, 2gb, or 70% of the server's limit", param, ctx)
        return round(float(match[1]) * _BYTES[match[2]])

"""The cursor: the moment that a session of the page looks at, and how it moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from roost.dashboard.annals.times import Times

SPEEDS = (0.5, 1.0, 4.0, 16.0, 60.0)
MAX_ID = 200
SKIPPED_S = 2.0
"""While it plays, a pause is skipped that would last longer than that."""
BEFORE_S = 0.3
"""It is gone on so long before the next event."""


@dataclass(slots=True)
class Cursor:
    """`at_ms` is the moment by the server's clock, None: now. `run` is whose course the slider is; None: the whole log.

    `moved_s` is when it last moved by itself, by a clock that only goes on; None: it does not play. `heard` is the
    number of the browser's last act.
    """

    at_ms: int | None = None
    run: str | None = None
    speed: float = 1.0
    moved_s: float | None = None
    skipped_ms: int = 0
    ended: bool = False
    heard: int = 0
    _left_ms: float = 0.0

    @property
    def plays(self) -> bool:
        return self.moved_s is not None

    def act(self, act: dict[str, Any], times: Times | None, clock_s: float) -> None:
        """What somebody did to the bar. An act that makes no sense is none: it came from a browser."""
        value: Any = act.get("value")
        match act.get("what"):
            case "now":
                self.leave()
            case "over" if isinstance(value, str) and len(value) <= MAX_ID:
                self.run = value or None
                self.pause()
            case "speed" if value in SPEEDS:
                self.speed = float(value)
            case "seek" if isinstance(value, int | float) and times is not None:
                self.pause()
                self.at_ms = _within(round(value), times)
            case "step" if isinstance(value, int) and times is not None:
                self.pause()
                self._step(max(-100, min(100, value)), times)
            case "play" if times is not None:
                self._play(times, clock_s)
            case "pause":
                self.pause()
            case _:
                return

    def leave(self) -> None:
        """Back to now."""
        self.pause()
        self.at_ms = None

    def pause(self) -> None:
        self.moved_s, self.ended, self.skipped_ms = None, False, 0

    def advance(self, times: Times | None, clock_s: float) -> None:
        """Let it move as far as the time that has passed since it last did, if it plays."""
        if self.moved_s is None or self.at_ms is None or times is None:
            return
        passed_s, self.moved_s = max(0.0, clock_s - self.moved_s), clock_s
        upcoming = times.after(self.at_ms)
        if upcoming is None:
            self.pause()
            self.ended = True
            return
        self._left_ms += passed_s * 1000 * self.speed
        whole = int(self._left_ms)
        self._left_ms -= whole
        pause_ms = upcoming - self.at_ms
        if pause_ms > max(whole, SKIPPED_S * 1000 * self.speed):
            near_ms = upcoming - round(BEFORE_S * 1000 * self.speed)
            if near_ms > self.at_ms:
                self.skipped_ms = pause_ms
                self.at_ms = near_ms
                return
        if whole > pause_ms:
            self.skipped_ms = 0
        self.at_ms = min(self.at_ms + whole, times.last_ms or self.at_ms)

    def _play(self, times: Times, clock_s: float) -> None:
        first_ms, last_ms = times.first_ms or 0, times.last_ms or 0
        if self.at_ms is None or not first_ms <= self.at_ms < last_ms:
            self.at_ms = first_ms
        self.pause()
        self.moved_s, self._left_ms = clock_s, 0.0

    def _step(self, by: int, times: Times) -> None:
        at_ms = self.at_ms if self.at_ms is not None else (times.last_ms or 0)
        for _ in range(abs(by)):
            following = times.after(at_ms) if by > 0 else times.before(at_ms)
            if following is None:
                break
            at_ms = following
        self.at_ms = _within(at_ms, times)


def _within(ms: int, times: Times) -> int:
    return max(times.first_ms or 0, min(ms, times.last_ms or 0))

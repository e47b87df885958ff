"""`roost replay` on a terminal: a past run to be gone through forwards and backwards."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, ClassVar, cast

import orjson
from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Resize
from textual.widgets import Footer, Input, Static

from roost.streams import Position, RoostError, SettingsError, Shard
from roost.streams.contents import find_content
from roost.streams.printable import printable

from ..amounts import SHORT_ID
from .moment import Moment
from .reel import Reel, Still
from .timeline import Timeline

TICK_S = 0.05
WIDE = 100
"""Columns from which on there is room beside the timeline."""
FASTEST = 1000.0
CONTENT = 2000
"""Characters of a note's content that are shown."""
LONGEST_DATA = 20_000
MEMORY = (
    ("notes", "bytes"), ("read", "missed"), ("computing", "computed"), ("found", "joined"), ("calls", "tokens"),
    ("failed", "cost_usd"),
)  # fmt: skip


class ReplayApp(App[None]):
    """One run. What it shows comes from documents and models: it is text, and never markup."""

    TITLE = "roost replay"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #head { height: 1; padding: 0 1; background: $primary-background; }
    #side { width: 40%; min-width: 42; max-width: 70; border-left: solid $primary-background; }
    #agents, #memory { height: auto; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    #agents { max-height: 40%; }
    #memory, #event { border-top: solid $primary-background; }
    #event { height: 1fr; padding: 0 1; }
    #ask { display: none; height: 3; }
    #ask.asked { display: block; }
    .narrow #body { layout: vertical; }
    .narrow #side {
        layout: horizontal; width: 100%; max-width: 100%; height: 45%; border-left: none;
        border-top: solid $primary-background;
    }
    .narrow #agents { width: 40; height: 100%; max-height: 100%; }
    .narrow #memory { display: none; }
    .narrow #event { width: 1fr; height: 100%; border-top: none; border-left: solid $primary-background; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,down,l,j", "step(1)", "forward", key_display="→", priority=False),
        Binding("left,up,h,k", "step(-1)", "back", key_display="←"),
        Binding("pagedown", "step(20)", "page", show=False),
        Binding("pageup", "step(-20)", "page back", show=False),
        Binding("home", "go(0)", "begin", show=False),
        Binding("end", "go(-1)", "end", show=False),
        Binding("space", "play", "play/pause"),
        Binding("plus", "faster(2)", "faster", key_display="+", show=False),
        Binding("minus", "faster(0.5)", "slower", key_display="-", show=False),
        Binding("g", "ask('g')", "go to"),
        Binding("slash", "ask('/')", "search", key_display="/"),
        Binding("n", "next_hit", "next hit", show=False),
        Binding("question_mark", "help", "keys", key_display="?"),
        Binding("q", "quit", "quit"),
    ]

    def __init__(
        self, shards: Sequence[Shard], run: str, *, speed: float | None = None, until: Position | None = None,
        at: Moment | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._shards = list(shards)
        self.reel = Reel(shards, run)
        self._timeline = Timeline(self.reel)
        self.number = 0
        """The event that the cursor is on, from 0."""
        self.speed = speed or 1.0
        self.playing = False
        self._plays_at_once = speed is not None
        self._begin_at: Position | Moment | None = until or at
        self._clock: tuple[float, float] = 0.0, 0.0
        self._asked = ""
        self._search = ""

    def compose(self) -> ComposeResult:
        yield Static("", id="head", markup=False)
        with Horizontal(id="body"):
            yield self._timeline
            with Vertical(id="side"):
                yield Static("", id="agents", markup=False)
                yield Static("", id="memory", markup=False)
                with VerticalScroll(id="event", can_focus=False):
                    yield Static("", id="data", markup=False)
        yield Input(id="ask")
        yield Footer()

    def on_mount(self) -> None:
        self.query_one("#ask", Input).disabled = True
        self.set_interval(TICK_S, self._tick)
        self._wind()

    def on_resize(self, event: Resize) -> None:
        """Where there is little room, what stands beside the timeline stands below it."""
        self.screen.set_class(event.size.width < WIDE, "narrow")

    @work(exclusive=True, group="wind")
    async def _wind(self) -> None:
        """Read the run, and show where it is to begin."""
        try:
            await self.reel.wind(lambda count: self._head(f"reading the run: {count:,} events"))
        except RoostError as error:
            self.exit(message=printable(str(error)), return_code=1)
            return
        if not self.reel.count:
            self.exit(message=f"run {self.reel.run} has no events", return_code=1)
            return
        self._timeline.wound()
        match self._begin_at:
            case Position() as position:
                self._move(await self.reel.number_of(position))
            case Moment() as moment:
                self._move(await self.reel.number_at(moment.ms(self.reel.first_ms)))
            case None:
                self._move(0)
        if self._plays_at_once:
            self.action_play()

    def _move(self, number: int) -> None:
        self.number = max(0, min(number, self.reel.count - 1))
        self._timeline.move_to(self.number)
        self._show()

    @work(exclusive=True, group="show")
    async def _show(self) -> None:
        if not self.reel.count:
            return
        still = await self.reel.at(self.number)
        self._head(_where(self, still))
        self.query_one("#agents", Static).update(_agents(still, max(10, self.query_one("#side").size.width - 3)))
        self.query_one("#memory", Static).update(_memory(still))
        self.query_one("#data", Static).update(await self._event(still))
        self.query_one("#event", VerticalScroll).scroll_home(animate=False)

    async def _event(self, still: Still) -> Text:
        """The event, and the beginning of the note that it names."""
        told = still.told
        shown = Text()
        for name, value in (("subject", f"{told.subject}@{told.version}"), ("id", told.meta.get("id")),
                            ("cause", told.meta.get("cause"))):  # fmt: skip
            shown.append(f"{name:<8}", style="dim").append(f"{_plain(value)}\n")
        data = told.data if isinstance(told.data, str) else orjson.dumps(told.data, option=orjson.OPT_INDENT_2).decode()
        shown.append(printable(data[:LONGEST_DATA]))
        digest = cast("dict[str, Any]", told.data).get("digest") if isinstance(told.data, dict) else None
        if isinstance(digest, str):
            raw = await find_content(self._shards, digest)
            text = "it was forgotten" if raw is None else raw[: 4 * CONTENT].decode(errors="replace")[:CONTENT]
            shown.append("\n\ncontent\n", style="dim").append(printable(text))
        return shown

    def _head(self, text: str) -> None:
        self.query_one("#head", Static).update(Text(printable(text), no_wrap=True, overflow="ellipsis"))

    def action_step(self, count: int) -> None:
        """Some events forwards, or backwards."""
        self.playing = False
        self._move(self.number + count)

    def action_go(self, number: int) -> None:
        """To an event by its number; from the end if it is negative."""
        self.playing = False
        self._move(self.reel.count + number if number < 0 else number)

    def action_play(self) -> None:
        """Begin to play from here, or stop."""
        self.playing = not self.playing and self.number + 1 < self.reel.count
        told = self.reel.known(self.number)
        self._clock = time.monotonic(), float(told.ms if told is not None else self.reel.first_ms)
        self._show()

    def action_faster(self, factor: float) -> None:
        """Play at another pace."""
        was_playing, self.playing = self.playing, False
        self.speed = min(FASTEST, max(0.01, self.speed * factor))
        if was_playing:
            self.action_play()
        else:
            self._show()

    @work(exclusive=True, group="tick")
    async def _tick(self) -> None:
        if not self.playing:
            return
        began, ms = self._clock
        number = await self.reel.number_at(int(ms + (time.monotonic() - began) * 1000 * self.speed))
        if self.playing and number > self.number:
            self.playing = number + 1 < self.reel.count
            self._move(number)

    def action_ask(self, what: str) -> None:
        """Ask where to go, or what to look for."""
        self.playing, self._asked = False, what
        ask = self.query_one("#ask", Input)
        ask.placeholder = "a number, a position, or +12.5s" if what == "g" else "type, agent, ID, or any text"
        ask.value, ask.disabled = "", False
        ask.add_class("asked")
        ask.focus()

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        """What was asked for was entered."""
        self._close_ask()
        text = event.value.strip()
        if not text:
            return
        if self._asked == "/":
            self._search = text
            self.action_next_hit()
            return
        try:
            self._move(await self._number_of(text))
        except (SettingsError, ValueError) as error:
            self.notify(printable(str(error)), severity="error", markup=False)

    def on_key(self, event: Any) -> None:
        """Escape leaves the question."""
        if event.key == "escape":
            self._close_ask()

    def _close_ask(self) -> None:
        ask = self.query_one("#ask", Input)
        ask.remove_class("asked")
        ask.disabled = True
        self.set_focus(None)

    async def _number_of(self, text: str) -> int:
        if text.isdecimal() and len(text) < 10:
            return int(text) - 1
        if text.startswith("+") or ":" in text:
            return await self.reel.number_at(Moment.parse(text).ms(self.reel.first_ms))
        return await self.reel.number_of(Position.parse(text))

    @work(exclusive=True, group="find")
    async def action_next_hit(self) -> None:
        """To the next event that has what was searched for."""
        if not self._search:
            return
        found = await self.reel.find(self._search, self.number)
        if found is None:
            self.notify(f"nothing has {printable(self._search)!r}", severity="warning", markup=False)
        else:
            self._move(found)

    def action_help(self) -> None:
        """What keys there are."""
        keys = (
            "→ ↓ l j: forward · ← ↑ h k: back · page up/down: twenty · home, end\n"
            "space: play and pause · + -: faster, slower\n"
            "g: go to a number, a position or +12.5s · /: search · n: next hit · q: quit"
        )
        self.notify(keys, title="keys", timeout=10, markup=False)


def _where(app: ReplayApp, still: Still) -> str:
    reel = app.reel
    seconds, all_of_it = (still.told.ms - reel.first_ms) / 1000, (reel.last_ms - reel.first_ms) / 1000
    how = f"▶ {app.speed:g}x" if app.playing else "⏸"
    place = f"{still.number + 1:,} of {reel.count:,}"
    return f"{how}  run {reel.run[:SHORT_ID]}  event {place}  {seconds:.2f} of {all_of_it:.2f} s  {still.told.entry}"


def _agents(still: Still, width: int) -> Text:
    shown = Text(no_wrap=True)
    shown.append(f"{'agent':<12}{'handled':>8}{'computed':>9}{'reused':>7}\n", style="bold")
    for name, agent in still.agents.items():
        acts = name == still.told.meta.get("actor")
        figures = f"{_plain(name)[:11]:<12}{agent.handled:>8,}{agent.computed:>9,}{agent.reused:>7,}"
        shown.append(f"{figures}\n", style="reverse" if acts else "")
        if acts:
            shown.append(f"  {_plain(agent.doing)[: width - 2]}\n", style="dim")
    return shown


def _memory(still: Still) -> Text:
    figures = still.summary.figures
    shown = Text(no_wrap=True)
    shown.append("memory\n", style="bold")
    for row in MEMORY:
        for name in row:
            value = figures[name]
            text = f"{value:,}" if isinstance(value, int) else f"${value}"
            shown.append(f"{name.removesuffix('_usd'):<10}", style="dim").append(f"{text:<11}")
        shown.append("\n")
    return shown


def _plain(value: Any) -> str:
    return printable(str("" if value is None else value)).replace("\n", "\\n")


async def show_run(
    shards: Sequence[Shard], run: str, *, speed: float | None, until: Position | None, at: Moment | None
) -> int:
    """Let people go through a run; the exit code."""
    app = ReplayApp(shards, run, speed=speed, until=until, at=at)
    await app.run_async()
    return app.return_code or 0

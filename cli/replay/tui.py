"""`roost replay` on a terminal: a past run to be gone through forwards and backwards."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, ClassVar, cast

import click
import orjson
from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Resize
from textual.widgets import Footer, Input, Static

from roost.streams import Position, RoostError, SettingsError, Shard
from roost.streams.amounts import SHORT_ID, shorten_ids
from roost.streams.contents import find_opened
from roost.streams.every_shard import shard_of_note
from roost.streams.printable import printable

from ..live_notes import find_live
from .moment import Moment
from .reel import Reel, Still
from .timeline import Timeline

TICK_S = 0.05
WIDE = 120
"""Columns from which on there is room beside the timeline."""
FASTEST = 1000.0
CONTENT = 2000
"""Characters of a note's content that are shown."""
LONGEST_DATA = 20_000
MEMORY = (
    ("notes", "bytes"), ("read", "missed"), ("computing", "computed"), ("found", "joined"), ("calls", "tokens"),
    ("failed", "cost_usd"),
)  # fmt: skip
BRIEF = ("notes", "read", "computing", "computed", "found", "joined", "calls")
"""What a narrow terminal has room for."""


class ReplayApp(App[None]):
    """One run. What it shows comes from documents and models: it is text, and never markup."""

    TITLE = "roost replay"
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None  # or the hidden line for questions would take the first keys
    CSS = """
    #head { height: 1; padding: 0 1; background: $primary-background; }
    #side { width: 40%; min-width: 42; max-width: 70; border-left: solid $primary-background; }
    #agents, #memory { height: auto; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    #agents { max-height: 40%; }
    #memory, #event { border-top: solid $primary-background; }
    #event { height: 1fr; padding: 0 1; }
    #brief { display: none; height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    #ask { height: 3; }
    .narrow #body { layout: vertical; }
    .narrow #side {
        layout: horizontal; width: 100%; max-width: 100%; height: 45%; border-left: none;
        border-top: solid $primary-background;
    }
    .narrow #agents { width: 40; height: 100%; max-height: 100%; }
    .narrow #memory { display: none; }
    .narrow #brief { display: block; }
    .narrow #event { width: 1fr; height: 100%; border-top: none; border-left: solid $primary-background; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,down,l,j", "step(1)", "forward", key_display="→", priority=False),
        Binding("left,up,h,k", "step(-1)", "back", key_display="←"),
        Binding("pagedown", "step(20)", "page", show=False),
        Binding("pageup", "step(-20)", "page back", show=False),
        Binding("home", "go(0)", "begin", show=False),
        Binding("end", "go(-1)", "end", show=False),
        Binding("shift+down,d", "scroll_event(1)", "more of the event", show=False),
        Binding("shift+up,u", "scroll_event(-1)", "back in the event", show=False),
        Binding("space", "play", "play/pause"),
        Binding("plus", "faster(2)", "faster", key_display="+", show=False),
        Binding("minus", "faster(0.5)", "slower", key_display="-", show=False),
        Binding("g", "ask('g')", "go to"),
        Binding("slash", "ask('/')", "search", key_display="/"),
        Binding("n", "next_hit", "next hit", show=False),
        Binding("question_mark", "help", "keys", key_display="?"),
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", "quit", show=False, priority=True),
    ]

    def __init__(
        self, shards: Sequence[Shard], run: str, *, speed: float | None = None, until: Position | None = None,
        at: Moment | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._shards = list(shards)
        self.reel = Reel(shards, run, until=until, at=at)
        self._timeline = Timeline(self.reel)
        self.number = 0
        """The event that the cursor is on, from 0."""
        self.speed = speed or 1.0
        self.playing = False
        self._plays_at_once = speed is not None
        self._begins_at_end = speed is None and (until is not None or at is not None)
        self.failure: RoostError | None = None
        """Why it has ended, if by itself."""
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
        yield Static("", id="brief", markup=False)
        yield Input(id="ask", select_on_focus=False)
        yield Footer()

    def on_mount(self) -> None:
        self.query_one("#ask", Input).display = False
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
            self._fail(error)
            return
        if not self.reel.count:
            self._fail(RoostError(f"run {self.reel.run} has no events up to there"))
            return
        self._timeline.wound()
        self._move(self.reel.count - 1 if self._begins_at_end else 0)
        if self._plays_at_once:
            self.action_play()

    def _fail(self, error: RoostError) -> None:
        """What cannot be read is told where commands tell it, in a line, when the screen is left."""
        self.failure = error
        self.exit(return_code=1)

    def _move(self, number: int) -> None:
        self.number = max(0, min(number, self.reel.count - 1))
        self._timeline.move_to(self.number)
        self._show()

    @work(exclusive=True, group="show")
    async def _show(self) -> None:
        if not self.reel.count:
            return
        try:
            still = await self.reel.at(self.number)
            event = await self._event(still)
        except RoostError as error:
            self._fail(error)
            return
        side = self.query_one("#side").size
        rows = side.height if self.screen.has_class("narrow") else side.height * 2 // 5
        self._head(_where(self, still))
        self.query_one("#agents", Static).update(_agents(still, max(10, side.width - 3), max(1, rows - 2)))
        self.query_one("#memory", Static).update(_memory(still))
        self.query_one("#brief", Static).update(_brief(still))
        self.query_one("#data", Static).update(event)
        self.query_one("#event", VerticalScroll).scroll_home(animate=False)

    async def _event(self, still: Still) -> Text:
        """The event, and the beginning of the note that it names."""
        told, named = still.told, cast("dict[str, Any]", still.told.data)
        shown = Text()
        for name, value in (("subject", f"{shorten_ids(told.subject)}@{told.version}"), ("id", told.meta.get("id")),
                            ("cause", told.meta.get("cause"))):  # fmt: skip
            shown.append(f"{name:<8}", style="dim").append(f"{_plain(value)}\n")
        data = told.data if isinstance(told.data, str) else orjson.dumps(told.data, option=orjson.OPT_INDENT_2).decode()
        shown.append(printable(data[:LONGEST_DATA]))
        content = await self._content(named) if isinstance(told.data, dict) else None
        if content is not None:
            shown.append("\n\ncontent\n", style="dim").append(printable(content))
        return shown

    async def _content(self, data: dict[str, Any]) -> str | None:
        """How the note begins that an event names: as its record tells, where the event has no digest. To look is no
        read that is logged."""
        digest, note = data.get("digest"), data.get("note")
        if not isinstance(digest, str):
            if not isinstance(note, str):
                return None
            [live] = await find_live(shard_of_note(self._shards, note), [note])
            if live is None:
                return "it has expired, or was forgotten"
            digest = live.record.digest
        raw = await find_opened(self._shards, digest)
        return "it was forgotten" if raw is None else raw[: 4 * CONTENT].decode(errors="replace")[:CONTENT]

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

    def action_scroll_event(self, pages: int) -> None:
        """Further down, or up, in what is told of the event."""
        event = self.query_one("#event", VerticalScroll)
        event.scroll_relative(y=pages * max(1, event.size.height // 2), animate=False)

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
        try:
            number = await self.reel.number_at(int(ms + (time.monotonic() - began) * 1000 * self.speed))
        except RoostError as error:
            self._fail(error)
            return
        if self.playing and number > self.number:
            self.playing = number + 1 < self.reel.count
            self._move(number)

    def action_ask(self, what: str) -> None:
        """Ask where to go, or what to look for."""
        self.playing, self._asked = False, what
        ask = self.query_one("#ask", Input)
        ask.placeholder = "a number, a position, or +12.5s" if what == "g" else "type, agent, ID, or any text"
        ask.value, ask.display = "", True
        self.screen.set_focus(ask)  # at once: the next keys may be on their way

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
        except (SettingsError, click.UsageError) as error:
            self.notify(printable(str(error)), severity="error", markup=False)
        except RoostError as error:
            self._fail(error)

    def on_key(self, event: Any) -> None:
        """Escape leaves the question."""
        if event.key == "escape":
            self._close_ask()

    def _close_ask(self) -> None:
        ask = self.query_one("#ask", Input)
        ask.display = False
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
        try:
            found = await self.reel.find(self._search, self.number)
        except RoostError as error:
            self._fail(error)
            return
        if found is None:
            self.notify(f"nothing has {printable(self._search)!r}", severity="warning", markup=False)
        else:
            self._move(found)

    def action_help(self) -> None:
        """What keys there are."""
        keys = (
            "→ ↓ l j: forward · ← ↑ h k: back · page up/down: twenty · home, end\n"
            "d u, shift+↓ ↑: more of the event, and back\n"
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


def _agents(still: Still, width: int, rows: int) -> Text:
    shown = Text(no_wrap=True)
    shown.append(f"{'agent':<12}{'handled':>8}{'computed':>9}{'reused':>7}\n", style="bold")
    acting, names = still.told.meta.get("actor"), list(still.agents)
    if acting in names[rows:]:  # who acts is to be seen, however many there are
        names = [*names[: rows - 1], acting]
    for name in names[:rows]:
        agent, acts = still.agents[name], name == acting
        figures = f"{_plain(name)[:11]:<12}{agent.handled:>8,}{agent.computed:>9,}{agent.reused:>7,}"
        shown.append(f"{figures}\n", style="reverse" if acts else "")
        if acts:
            shown.append(f"  {_plain(agent.doing)[: width - 2]}\n", style="dim")
    return shown


def _brief(still: Still) -> Text:
    """The memory in a line."""
    figures, shown = still.summary.figures, Text()
    for name in BRIEF:
        shown.append(f"{name} ", style="dim").append(f"{figures[name]:,}  ")
    shown.append("$", style="dim").append(str(figures["cost_usd"]))
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
        shown.rstrip()
        shown.append("\n")
    return shown


def _plain(value: Any) -> str:
    return printable(str("" if value is None else value)).replace("\n", "\\n")


async def show_run(
    shards: Sequence[Shard], run: str, *, speed: float | None, until: Position | None, at: Moment | None
) -> int:
    """Let people go through a run; the exit code. Raises RoostError."""
    app = ReplayApp(shards, run, speed=speed, until=until, at=at)
    await app.run_async()
    if app.failure is not None:
        raise app.failure
    return app.return_code or 0

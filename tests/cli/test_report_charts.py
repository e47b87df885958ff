"""The charts of reports: what they draw of what they are given."""

from __future__ import annotations

from rich.cells import cell_len

from roost.cli.report.charts.drawing import INKS, label, to_svg
from roost.cli.report.charts.scale import Scale, ticks, time_ticks
from roost.cli.report.charts.timeline import Stretch, draw_timeline, lanes_of


def test_work_at_the_same_time_stands_in_lanes_of_its_own() -> None:
    spans = [(0.0, 3.0), (1.0, 2.0), (1.5, 2.5), (2.0, 4.0), (3.0, 5.0)]
    assert lanes_of([Stretch("a", "map", start, end) for start, end in spans]) == [0, 1, 2, 1, 0]


def test_a_label_is_never_too_wide_and_keeps_both_ends() -> None:
    for text in (
        "summarizer, run 59adc0b3 of another flock",
        "要約者のエージェントは長い名前を持つ",
        "a\x1b\ufffe" * 20,
    ):
        assert cell_len(label(text, 16)) <= 16
    assert label("summarizer, run 59adc0b3", 16) == "summarizer…dc0b3"
    assert label("short", 16) == "short"


def test_scales_have_round_steps_and_hold_what_is_beyond_them_at_their_ends() -> None:
    assert ticks(34, 4) == [0, 10, 20, 30]
    assert time_ticks(7300, 4) == [0, 3600, 7200]
    assert time_ticks(0.9, 8) == [0, 0.2, 0.4, 0.6000000000000001, 0.8]
    scale = Scale(10, 20, 5)
    assert [scale(-1), scale(0), scale(2.5), scale(9)] == [10, 10, 15, 20]


def test_a_drawing_tells_of_each_part_and_takes_its_colours_from_the_page() -> None:
    work = [Stretch("a & <b>", "map", 0.0, 1.0, "$x^2$ 'part'"), Stretch("a & <b>", "map", 1.0, 2.0, failed=True)]
    svg = to_svg(lambda: draw_timeline(work, [("a & <b>", 0.0, 1.0)], 2.0, 960), "one", "Who worked when")
    assert svg.startswith('<svg viewBox="0 0 960 ')
    parts = ('aria-label="Who worked when"', "a &amp; &lt;b&gt;, $x^2$ 'part', 1.0 s from 0 ms", "failed</title>")
    assert [part for part in (*parts, "var(--map)", "var(--failed)", "var(--paper)") if part not in svg] == []
    assert [part for part in (*INKS.values(), "DejaVu", "http") if part in svg] == []

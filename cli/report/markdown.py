"""A report as GitHub's Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable

from roost.streams.printable import printable

from .facts import Facts, Tone
from .wording import plural

SIGNS: dict[Tone, str] = {"good": "✅", "going": "⏳", "poor": "⚠️", "bad": "❌"}
_MEANING = re.compile(
    r"[\\`*_\[\]<>#|~&@]"
    r"|\$(?=.*\$)"  # what stands between two of them becomes a formula
    r"|:(?=/|(?!\d\d:)[\w+-]+:)|(?<=www)\."  # addresses become links, and :names: pictures
    r"|^[-+=](?=.)|(?<=^\d)[.)](?=\s)|(?<=^\d\d)[.)](?=\s)",  # lists, lines
    re.IGNORECASE,
)


def plain(text: str) -> str:
    """`text` as Markdown that shows it and does nothing else: no link, image, tag, mention or column comes of it."""
    line = " ".join(printable(text).split())
    return _MEANING.sub(lambda found: f"&#{ord(found[0])};", line)


def to_markdown(facts: Facts) -> str:
    """The whole document."""
    lines = [f"# {plain(facts.title)}", "", *[f"{plain(line)}  " for line in facts.about], ""]
    lines += [f"**{plain(facts.saved)}**", "", f"{SIGNS[facts.tone]} {plain(facts.ending)}", ""]
    if facts.missing or facts.unnamed:
        lines += ["## Missing", "", *[f"- {plain(what)}: {plain(reason)}" for what, reason in facts.missing]]
        lines += [f"- and {plural(facts.unnamed, 'more part')}"] if facts.unnamed else []
        lines.append("")
    for group in facts.groups:
        lines += [f"## {plain(group.title)}", "", "| | | |", "| --- | ---: | --- |"]
        lines += [_row((fact.name, fact.value, fact.note)) for fact in group.facts]
        lines.append("")
    for sheet in facts.sheets:
        rules = ["---:" if name in sheet.right else "---" for name in sheet.head]
        lines += [f"## {plain(sheet.title)}", "", _row(sheet.head), f"| {' | '.join(rules)} |"]
        lines += [*map(_row, sheet.rows), "", *([plain(sheet.more), ""] if sheet.more else [])]
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(plain, cells))} |"

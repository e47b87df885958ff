"""What kind of document a file or download is, from its name, its first bytes and what a server says."""

from __future__ import annotations

import re
from pathlib import PurePath

from .line import Markup

MARKDOWN = "text/markdown"
PLAIN = "text/plain"
UNDERLINED = "text/x-rst"
SOURCE_CODE = "text/x-source"

_TEXTS = {
    ".md": MARKDOWN, ".markdown": MARKDOWN, ".mdown": MARKDOWN, ".mkd": MARKDOWN, ".mdx": MARKDOWN, ".qmd": MARKDOWN,
    ".txt": PLAIN, ".text": PLAIN, "": PLAIN, ".rst": UNDERLINED, ".rest": UNDERLINED,
}  # fmt: skip

CONVERTED = {
    ".html": "text/html", ".htm": "text/html", ".xhtml": "text/html",
    ".pdf": "application/pdf",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".epub": "application/epub+zip",
    ".ipynb": "application/x-ipynb+json",
}  # fmt: skip
"""Endings of the formats that are converted to Markdown before they are read, and their media types."""

_ENDING_OF = {media: ending for ending, media in reversed(CONVERTED.items())} | {"application/xhtml+xml": ".html"}
_SOURCE_CODE_NAMES = frozenset({"makefile", "dockerfile", "containerfile", "gemfile", "rakefile", "justfile"})
_OLD_OFFICE = {".doc": ".docx", ".xls": ".xlsx", ".ppt": ".pptx"}
_HTML = re.compile(  # possessive, so that a page of comments is gone through once
    rb"(?:\xef\xbb\xbf)?+\s*+(?:<\?xml[^>]*+>\s*+)?+(?:<!--(?:(?!-->).)*+-->\s*+)*+<(?:!doctype\s++html|html[\s>])",
    re.I | re.S,
)
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_CONTROLS = bytes(set(range(32)) - {7, 8, 9, 10, 11, 12, 13, 27}) + b"\x7f"


def media_of(name: str, head: bytes, declared: str = "") -> str:
    """The media type: what the first bytes prove, else what a server `declared`, else what the name's ending says."""
    path = PurePath(name.lower())
    if head.startswith(b"%PDF-"):
        return CONVERTED[".pdf"]
    if declared in _ENDING_OF:
        return CONVERTED[_ENDING_OF[declared]]
    if path.suffix in CONVERTED:
        return CONVERTED[path.suffix]
    if head.startswith(b"#!") or path.name in _SOURCE_CODE_NAMES:
        return SOURCE_CODE
    text = _TEXTS.get(path.suffix, declared if declared in _TEXTS.values() else SOURCE_CODE)
    if text != SOURCE_CODE and _HTML.match(head[:1_024]):
        return CONVERTED[".html"]
    return declared if text == PLAIN and declared == MARKDOWN else text


def ending_of(media: str) -> str | None:
    """The ending that stands for a convertible media type; None for text."""
    return _ENDING_OF.get(media)


def markup_of(media: str) -> Markup:
    if media == MARKDOWN or media in _ENDING_OF:
        return Markup.MARKDOWN
    return {PLAIN: Markup.TEXT, UNDERLINED: Markup.UNDERLINED}.get(media, Markup.NONE)


def is_binary(head: bytes) -> bool:
    """Whether a file that begins so is not text in any encoding."""
    if head.startswith(_UTF_16):
        return False
    if b"\0" in head:
        return True
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return controls * 10 > len(head)


def advice_for(name: str) -> str:
    """What to do about a binary file, by its name."""
    newer = _OLD_OFFICE.get(PurePath(name).suffix.lower())
    return f"save it as {newer}" if newer else "it is neither text nor a format that can be converted"

"""Text from documents, notes and models, made safe to show on a terminal."""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f"  # control characters but for tab and newline; escape begins commands to the terminal
    "\x80-\x9f"  # their 8-bit kin
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # these turn the direction of writing
    "\u2028\u2029\ufeff\ufff9-\ufffb"
    "\ud800-\udfff"  # halves of characters, which cannot be written out
    "\U000e0000-\U000e007f"  # invisible letters
    "]"
)


def printable(text: str) -> str:
    """`text` with what could command a terminal or deceive its reader as visible escapes; newline and tab stay."""
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

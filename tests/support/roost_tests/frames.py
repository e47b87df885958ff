"""Where one message of the Redis protocol ends and the next begins."""

from __future__ import annotations

_LINE = b"+-:_,#("
_BULK = b"$!="
_NESTED = {ord("*"): 1, ord("~"): 1, ord(">"): 1, ord("%"): 2}


def frame_end(data: bytes | bytearray, start: int = 0) -> int | None:
    """The position after the message that begins at `start`; None if it is not there whole."""
    line = data.find(b"\r\n", start)
    if line < 0:
        return None
    kind, rest = data[start], line + 2
    if kind in _LINE:
        return rest
    count = int(data[start + 1 : line])
    if kind in _BULK:
        end = rest if count < 0 else rest + count + 2
        return end if end <= len(data) else None
    for _ in range(max(count, 0) * _NESTED[kind]):
        inner = frame_end(data, rest)
        if inner is None:
            return None
        rest = inner
    return rest


def take_frames(data: bytearray) -> list[bytes]:
    """The whole messages at the head of `data`, which are taken out of it."""
    frames: list[bytes] = []
    at = 0
    while at < len(data) and (end := frame_end(data, at)) is not None:
        frames.append(bytes(data[at:end]))
        at = end
    del data[:at]
    return frames


def read_command(frame: bytes) -> list[bytes]:
    """The words of a request, which is an array of strings."""
    words: list[bytes] = []
    at = frame.index(b"\r\n") + 2
    while at < len(frame):
        line = frame.index(b"\r\n", at)
        size = int(frame[at + 1 : line])
        words.append(frame[line + 2 : line + 2 + size])
        at = line + 2 + size + 2
    return words

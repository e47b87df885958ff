"""Reads an answer: is it whole, is there anything in it, and what did the provider count?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from .endpoint import Endpoint

ENDS_WELL = frozenset({"stop", "tool_calls", "function_call", "eos", "end_turn", "stop_sequence"})
DONE = b"[DONE]"
NO_END = "the stream broke off"

Json = dict[str, Any]


@dataclass(slots=True)
class Reading:
    """What is in an answer. `flaw` says why it must not be kept, None when it may; `texts` are its words."""

    flaw: str | None = None
    usage: Json | None = None
    texts: list[str] = field(default_factory=list[str])
    ending: bool = False
    """Whether all has been said, even if the stream is not at its end."""


def read_answer(endpoint: Endpoint, body: bytes, *, stream: bool, inputs: int = 1) -> Reading:
    """Judge an answer with status 200; `inputs` is how many embeddings were asked for. Raises nothing."""
    if stream:
        events = list(_events(body))
        return _read_response_events(events) if endpoint is Endpoint.RESPONSES else _read_chunks(events)
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Reading("it is not JSON, or was cut off")
    if not isinstance(document, dict):
        return Reading("it is not an answer of that endpoint")
    found = cast("Json", document)
    if found.get("error"):
        return Reading("there is an error inside")
    if endpoint is Endpoint.EMBEDDINGS:
        return _read_embeddings(found, inputs)
    return _read_response(found) if endpoint is Endpoint.RESPONSES else _read_choices(found)


def _events(body: bytes) -> Iterator[bytes]:
    """The data of each server-sent event."""
    data: list[bytes] = []
    for line in body.splitlines():
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            yield b"\n".join(data)
            data = []
    if data and data[0].startswith(DONE):  # some servers leave out the blank line at the very end
        yield data[0]


@dataclass(slots=True)
class _Choice:
    said: bool = False
    finish: str | None = None

    @property
    def flaw(self) -> str | None:
        if self.finish is None:
            return "it does not say that it has ended"
        if self.finish not in ENDS_WELL:
            return f"it was cut off or withheld ({self.finish[:40]})"
        return None if self.said else "it is empty"


def _flaw_of(choices: list[_Choice]) -> str | None:
    if not choices:
        return "it holds no choices"
    return next((choice.flaw for choice in choices if choice.flaw), None)


def _read_choices(document: Json) -> Reading:
    """A chat completion, or a completion."""
    reading = Reading(usage=_object(document.get("usage")))
    choices: list[_Choice] = []
    for entry in _objects(document.get("choices")):
        choice = _Choice(finish=_text(entry.get("finish_reason")))
        _hear(choice, entry, _object(entry.get("message")) or {}, reading.texts)
        choices.append(choice)
    reading.flaw = _flaw_of(choices)
    return reading


def _read_chunks(events: list[bytes]) -> Reading:
    """The same as a stream."""
    reading, choices, done = Reading(), dict[object, _Choice](), False
    for event in events:
        if event.startswith(DONE):
            done = True
            break
        chunk = _parse(event)
        if chunk is None or chunk.get("error"):
            reading.flaw = "there is an error inside"
            return reading
        reading.usage = _object(chunk.get("usage")) or reading.usage
        for entry in _objects(chunk.get("choices")):
            choice = choices.setdefault(entry.get("index"), _Choice())
            choice.finish = _text(entry.get("finish_reason")) or choice.finish
            _hear(choice, entry, _object(entry.get("delta")) or {}, reading.texts)
    reading.flaw = _flaw_of(list(choices.values()))
    reading.ending = bool(choices) and all(choice.finish for choice in choices.values())
    if not done:
        reading.flaw = NO_END
    return reading


def _hear(choice: _Choice, entry: Json, message: Json, texts: list[str]) -> None:
    """Take in what a choice says: `entry` holds the text of a completion, `message` that of a chat completion."""
    for said in cast("tuple[object, ...]", (entry.get("text"), message.get("content"))):
        for text in (said, *(part.get("text") for part in _objects(said))):
            if isinstance(text, str) and text:
                texts.append(text)
                choice.said = choice.said or bool(text.strip())
    for name in ("tool_calls", "function_call", "audio"):
        if value := message.get(name):
            texts.append(orjson.dumps(value).decode())
            choice.said = True


def _read_response_events(events: list[bytes]) -> Reading:
    """The stream of a response: judged by the response in its last event."""
    spoken = False
    for event in events:
        found = _parse(event)
        if event.startswith(DONE):
            break
        if found is None:
            return Reading("there is an error inside")
        match found.get("type"):
            case "response.output_text.delta":
                spoken = spoken or bool(str(found.get("delta") or "").strip())
            case "response.completed":
                reading = _read_response(_object(found.get("response")) or {}, spoken=spoken)
                reading.ending = True
                return reading
            case "response.failed" | "response.incomplete" | "response.cancelled" | "error":
                return Reading("it failed or was cut off")
            case _:
                continue
    return Reading(NO_END)


def _read_response(document: Json, *, spoken: bool = False) -> Reading:
    reading = Reading(usage=_object(document.get("usage")))
    if document.get("error") or document.get("incomplete_details") or document.get("status") != "completed":
        reading.flaw = f"its status is {str(document.get('status'))[:40]}"
        return reading
    said = spoken
    for item in _objects(document.get("output")):
        match item.get("type"):
            case "message":
                texts = [part.get("text") for part in _objects(item.get("content"))]
                reading.texts += [text for text in texts if isinstance(text, str)]
                said = said or any(isinstance(text, str) and text.strip() for text in texts)
            case "reasoning":
                continue  # thinking is no answer
            case _:
                reading.texts.append(orjson.dumps(item).decode())
                said = True
    if not said:
        reading.flaw = "it is empty"
    return reading


def _read_embeddings(document: Json, inputs: int) -> Reading:
    vectors = [entry.get("embedding") for entry in _objects(document.get("data"))]
    flaw = None
    if not vectors or any(not vector for vector in vectors):
        flaw = "it is empty"
    elif len(vectors) != inputs:
        flaw = f"it holds {len(vectors)} embeddings for {inputs} inputs"
    return Reading(flaw, _object(document.get("usage")))


def _parse(event: bytes) -> Json | None:
    try:
        return _object(orjson.loads(event))
    except orjson.JSONDecodeError:
        return None


def _object(value: object) -> Json | None:
    return cast("Json", value) if isinstance(value, dict) else None


def _objects(value: object) -> list[Json]:
    found = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Json", each) for each in found if isinstance(each, dict)]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None

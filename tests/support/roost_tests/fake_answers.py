"""What the fake OpenAI server answers at its other endpoints: completions, responses, embeddings; and their streams."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import struct
from collections.abc import AsyncIterator
from typing import Any

Json = dict[str, Any]

CREATED = 1_700_000_000


def usage_of(texts: list[str], answer: str, cached: int) -> Json:
    """Words stand for tokens."""
    sent, received = len(" ".join(texts).split()), len(answer.split())
    return {
        "prompt_tokens": sent,
        "completion_tokens": received,
        "total_tokens": sent + received,
        "prompt_tokens_details": {"cached_tokens": min(cached, sent)},
    }


def make_text_completion(request: Json, number: int) -> Json:
    prompt = request["prompt"]
    text = f"{str(prompt)[::-1]}"
    return {
        "id": f"cmpl-{number}",
        "object": "text_completion",
        "created": CREATED,
        "model": request["model"],
        "choices": [{"index": 0, "text": text, "finish_reason": "stop", "logprobs": None}],
        "usage": usage_of([str(prompt)], text, 0),
    }


def make_embeddings(request: Json) -> Json:
    """Numbers made of each input's letters; as base64 when that is asked for, as the official client does."""
    given = request["input"]
    inputs = [given] if isinstance(given, str) or (given and isinstance(given[0], int)) else given
    data: list[Json] = []
    for index, one in enumerate(inputs):
        vector = [float(ord(letter)) / 128 for letter in str(one)[:8]]
        packed = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        embedding = packed if request.get("encoding_format") == "base64" else vector
        data.append({"object": "embedding", "index": index, "embedding": embedding})
    count = sum(len(str(one).split()) for one in inputs)
    usage = {"prompt_tokens": count, "total_tokens": count}
    return {"object": "list", "data": data, "model": request["model"], "usage": usage}


def make_response(request: Json, number: int, failure: str | None) -> Json:
    asked = str(request["input"])
    text = {"empty": " ", "filter": ""}.get(failure or "", f"You asked: {asked}")
    content: list[Json] = [{"type": "output_text", "text": text, "annotations": []}]
    output: list[Json] = [
        {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed", "content": content}
    ]
    if request.get("tools") and request["tools"][0]["type"] == "function":
        call = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "status": "completed"}
        output = [{**call, "name": request["tools"][0]["name"], "arguments": "{}"}]
    cut = failure == "cut"
    sent, received = len(asked.split()), len(text.split())
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": CREATED,
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "error": None,
        "instructions": None,
        "metadata": {},
        "model": request["model"],
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": request.get("tools", []),
        "top_p": 1.0,
        "usage": {
            "input_tokens": sent,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": received,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": sent + received,
        },
    }


def events_of_chat(request: Json, completion: Json) -> list[bytes]:
    """The completion as a stream, a word a chunk; with its usage in a last chunk when that was asked for."""
    shape: Json = {key: completion[key] for key in ("id", "created", "model")}
    shape["object"] = "chat.completion.chunk"
    chunks: list[Json] = []
    for choice in completion["choices"]:
        message = choice["message"]
        deltas: list[Json] = [{"content": piece} for piece in re.findall(r"\S+\s*|\s+", message["content"] or "")]
        for index, call in enumerate(message.get("tool_calls") or []):
            deltas.append({"tool_calls": [{"index": index, **call}]})
        for delta in deltas:
            chunks.append({"choices": [{"index": choice["index"], "delta": delta, "finish_reason": None}]})
        end: Json = {"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]}
        chunks.append({"choices": [end]})
    options: Json = request.get("stream_options") or {}
    if options.get("include_usage") and "usage" in completion:
        chunks = [{**chunk, "usage": None} for chunk in chunks]
        chunks.append({"choices": [], "usage": completion["usage"]})
    return [*(_event({**shape, **chunk}) for chunk in chunks), b"data: [DONE]\n\n"]


def events_of_text(completion: Json) -> list[bytes]:
    choice = completion["choices"][0]
    shape = {key: completion[key] for key in ("id", "object", "created", "model")}
    pieces: list[str] = re.findall(r"\S+\s*|\s+", choice["text"])
    chunks = [{**shape, "choices": [{**choice, "text": piece, "finish_reason": None}]} for piece in pieces]
    chunks.append({**shape, "choices": [{**choice, "text": ""}]})
    return [*map(_event, chunks), b"data: [DONE]\n\n"]


def events_of_response(response: Json) -> list[bytes]:
    begun: Json = {**response, "status": "in_progress", "output": [], "usage": None}
    events: list[Json] = [{"type": "response.created", "response": begun}]
    for item in response["output"]:
        added: Json = {**item, "status": "in_progress"} | ({"content": []} if "content" in item else {})
        events.append({"type": "response.output_item.added", "output_index": 0, "item": added})
        for part in item.get("content", []):
            empty = {**part, "text": ""}
            at = {"item_id": item["id"], "output_index": 0, "content_index": 0}
            events.append({"type": "response.content_part.added", "part": empty, **at})
            place: Json = {"item_id": item["id"], "output_index": 0, "content_index": 0, "logprobs": []}
            for piece in re.findall(r"\S+\s*|\s+", part["text"]):
                events.append({"type": "response.output_text.delta", "delta": piece, **place})
    events.append({"type": f"response.{response['status']}", "response": response})
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
    return [f"event: {event['type']}\n".encode() + _event(event) for event in numbered]


async def send_slowly(events: list[bytes], pause: float, failure: str | None) -> AsyncIterator[bytes]:
    """Those that fail do so in the middle: they `break` off, `stall`, or tell of an error instead (`error-inside`)."""
    while failure == "endless":
        yield events[0]
    for number, event in enumerate(events):
        if number and pause:
            await asyncio.sleep(pause)
        if failure and number == len(events) // 2:
            if failure == "break":
                return
            if failure == "stall":
                await asyncio.Event().wait()
            if failure == "error-inside":
                yield _event({"error": {"message": "The server fell over", "code": "server_error"}})
                return
        yield event
    if failure == "linger":
        await asyncio.Event().wait()


def _event(chunk: object) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"

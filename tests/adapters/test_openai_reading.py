"""What an answer must have in it to be kept, at each endpoint; what people see of an answer that is kept."""

from __future__ import annotations

from typing import Any

import httpx2
import orjson
import pytest

from roost.adapters.openai.call import Call
from roost.adapters.openai.endpoint import Endpoint
from roost.adapters.openai.kept import KeptAnswer
from roost.adapters.openai.provider import IS_DONE
from roost.adapters.openai.reading import Reading, read_answer
from roost.adapters.openai.reuse import Reuse, mark
from roost.adapters.openai.words import words_of

SAID: dict[str, Any] = {"role": "assistant", "content": "By ear."}


def choices(*finishes: Any, **more: Any) -> bytes:
    return orjson.dumps({"choices": [{"message": {**SAID, **more}, "finish_reason": finish} for finish in finishes]})


def events(*documents: Any, end: str = "data: [DONE]\n\n", line: str = "\n") -> bytes:
    text = "".join(f"data: {orjson.dumps(document).decode()}\n\n" for document in documents) + end
    return text.replace("\n", line).encode()


def chunk(content: str | None, finish: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": {"content": content}, "finish_reason": finish}]}


def read(body: bytes, *, stream: bool = False, endpoint: Endpoint = Endpoint.CHAT, inputs: int = 1) -> Reading:
    return read_answer(endpoint, body, stream=stream, inputs=inputs)


@pytest.mark.parametrize(
    "body",
    [
        choices("stop"),
        choices("stop", "tool_calls"),
        choices("tool_calls", content=None, tool_calls=[{"id": "1"}]),
        choices("function_call", content=None, function_call={"name": "f"}),
        choices("stop", content=[{"type": "text", "text": "By ear."}]),
    ],
)
def test_a_whole_completion_is_kept(body: bytes) -> None:
    assert read(body).flaw is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"choices": [{"mess',
        b"{}",
        orjson.dumps({"choices": []}),
        orjson.dumps({"choices": "none"}),
        orjson.dumps({"choices": [None]}),
        orjson.dumps({"error": {"message": "x"}, **orjson.loads(choices("stop"))}),
        choices("length"),
        choices("content_filter"),
        choices("stop", "length"),
        choices(None),
        choices(""),
        choices(7),
        choices("a reason that nobody knows"),
        choices("stop", content=""),
        choices("stop", content=" \n"),
        choices("stop", content=None, refusal="I cannot."),
        choices("stop", content=None, tool_calls=[]),
        choices("stop", content=[{"type": "text", "text": ""}]),
    ],
)
def test_an_unfit_completion_is_not_kept(body: bytes) -> None:
    assert read(body).flaw


@pytest.mark.parametrize("line", ["\n", "\r\n", "\r"])
def test_a_whole_stream_is_kept_whatever_ends_its_lines(line: str) -> None:
    reading = read(events(chunk("By "), chunk("ear."), chunk(None, "stop"), {"choices": []}, line=line), stream=True)
    assert (reading.flaw, reading.texts, reading.ending) == (None, ["By ", "ear."], True)


def test_a_stream_may_leave_out_its_last_blank_line_and_hold_comments() -> None:
    body = b": keep-alive\n\n" + events(chunk("By ear.", "stop"), end="data:[DONE]")
    assert read(body, stream=True).flaw is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        events(),
        events(chunk("By ear.", "stop"), end=""),
        events(chunk("By ear.")),
        events(chunk("By "), chunk("ear.", "length")),
        events(chunk("", "stop")),
        events(chunk("By ear.", "stop"), chunk("At ", None, 1)),
        events(chunk("By "), {"error": {"message": "x"}}, chunk("ear.", "stop")),
        events(chunk("By ear.", "stop"), end="data: {broken\n\ndata: [DONE]\n\n"),
    ],
)
def test_an_unfit_stream_is_not_kept(body: bytes) -> None:
    assert read(body, stream=True).flaw


def response(status: str = "completed", *output: dict[str, Any], **more: Any) -> dict[str, Any]:
    message = {"type": "message", "content": [{"type": "output_text", "text": "By ear."}]}
    return {"status": status, "output": list(output) or [message], "error": None, "incomplete_details": None, **more}


@pytest.mark.parametrize(
    ("document", "fit"),
    [
        (response(), True),
        (response("completed", {"type": "function_call", "name": "f"}), True),
        (response("completed", {"type": "reasoning", "summary": []}), False),
        (response("completed", {"type": "message", "content": [{"type": "output_text", "text": " "}]}), False),
        (response("completed", {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}), False),
        (response(output=[]), False),
        (response("incomplete"), False),
        (response("failed"), False),
        (response("queued"), False),
        (response(incomplete_details={"reason": "max_output_tokens"}), False),
        (response(error={"code": "server_error"}), False),
        ({"output": []}, False),
    ],
)
def test_a_response_is_kept_when_it_is_completed_and_says_something(document: dict[str, Any], fit: bool) -> None:
    assert (read(orjson.dumps(document), endpoint=Endpoint.RESPONSES).flaw is None) is fit
    status = document.get("status", "completed")
    streamed = events({"type": "response.created"}, {"type": f"response.{status}", "response": document}, end="")
    assert (read(streamed, endpoint=Endpoint.RESPONSES, stream=True).flaw is None) is fit


@pytest.mark.parametrize(
    "body",
    [
        events({"type": "response.created"}, end=""),
        events({"type": "error", "message": "x"}, end=""),
        events({"type": "response.completed"}, end=""),
        b"data: {broken\n\n",
    ],
)
def test_a_response_whose_stream_broke_off_is_not_kept(body: bytes) -> None:
    assert read(body, endpoint=Endpoint.RESPONSES, stream=True).flaw


VECTORS: list[tuple[list[Any], int, bool]] = [
    ([[0.1]], 1, True),
    (["AAAA"], 1, True),
    ([[0.1]], 2, False),
    ([], 1, False),
    ([[]], 1, False),
    ([None], 1, False),
]


@pytest.mark.parametrize(("vectors", "inputs", "fit"), VECTORS)
def test_embeddings_are_kept_when_there_is_one_for_each_input(vectors: list[Any], inputs: int, fit: bool) -> None:
    body = orjson.dumps({"data": [{"embedding": vector} for vector in vectors]})
    assert (read(body, endpoint=Endpoint.EMBEDDINGS, inputs=inputs).flaw is None) is fit


@pytest.mark.parametrize("body", [b"", b"a\n\nb", "Eulen: 梟".encode(), b"\xff\xfe\n\n", b"\r\n\r\nx"])
def test_an_answer_comes_back_from_its_note_as_it_was(body: bytes) -> None:
    kept = KeptAnswer((("content-type", "text/event-stream"), ("x-request-id", "a: b")), body)
    content = kept.to_content()
    raw = content.encode() if isinstance(content, str) else content
    assert KeptAnswer.from_raw(raw) == kept
    assert kept.is_stream


@pytest.mark.parametrize("raw", [b"", b"By ear.", b"HTTP/1.1 200 OK\nno end", b"HTTP/1.1 500 Oh\na: b\n\n"])
def test_a_note_of_another_kind_is_no_answer(raw: bytes) -> None:
    with pytest.raises(ValueError, match="does not hold an answer"):
        KeptAnswer.from_raw(raw)


def test_usage_in_words_is_no_usage() -> None:
    body = events(
        chunk('He said "usage": {"total_tokens": 5}'), {"choices": [], "usage": {"total_tokens": 5, "x": None}}
    )
    marked = mark(Endpoint.CHAT, body, Reuse("found", "n1"), stream=True)
    assert marked.splitlines()[0] == body.splitlines()[0]
    last = orjson.loads(marked.splitlines()[2].removeprefix(b"data: "))
    assert last["usage"] == {"total_tokens": 0, "x": None}
    assert last["roost"] == {"reuse": "found", "note": "n1", "usage": {"total_tokens": 5, "x": None}}


@pytest.mark.parametrize(
    ("method", "url", "endpoint"),
    [
        ("POST", "https://api.openai.com/v1/chat/completions", Endpoint.CHAT),
        ("POST", "http://127.0.0.1:8080/completions?x=1", Endpoint.COMPLETIONS),
        ("POST", "https://example.com/a/b/responses", Endpoint.RESPONSES),
        ("POST", "https://example.com/v1/embeddings", Endpoint.EMBEDDINGS),
        ("GET", "https://example.com/v1/responses", None),
        ("POST", "https://example.com/v1/responses/resp_1/cancel", None),
        ("POST", "https://example.com/v1/chat/completions/chatcmpl-1", None),
        ("POST", "https://example.com/v1/xcompletions", None),
        ("POST", "https://example.com/v1/files", None),
    ],
)
def test_four_endpoints_are_known_by_the_end_of_their_path(method: str, url: str, endpoint: Endpoint | None) -> None:
    call = Call.read(httpx2.Request(method, url, json={"model": "m"}), 0)
    assert (call and call.endpoint) == endpoint


@pytest.mark.parametrize("content", [b"", b"[]", b"{broken", b'"text"'])
def test_a_body_that_is_no_request_is_left_alone(content: bytes) -> None:
    assert Call.read(httpx2.Request("POST", "https://example.com/v1/responses", content=content), 0) is None


@pytest.mark.parametrize(
    ("tail", "done"),
    [
        (b"data: {}\n\ndata: [DONE]\n\n", True),
        (b"data: {}\r\n\r\ndata:[DONE]", True),
        (b'data: {"content": "the end is data: [DONE]', False),
        (b'data: {"content": "\\ndata: [DONE]', False),
        (b"data: [DONE]\n\ndata: {}\n\n", False),
    ],
)
def test_an_answer_that_speaks_of_the_end_is_not_at_its_end(tail: bytes, done: bool) -> None:
    assert (IS_DONE.search(tail) is not None) is done


def test_people_see_the_model_and_no_word_of_the_request() -> None:
    request = httpx2.Request("POST", "https://a.b/v1/responses", json={"model": "m", "input": "a secret"})
    call = Call.read(request, 0)
    assert call is not None
    assert call.title == "m (responses)"


def test_estimates_count_what_the_model_reads_and_no_pictures() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]},
    ]
    assert words_of({"model": "m", "messages": messages, "input": None}) == ["Be brief.", "What is this?"]

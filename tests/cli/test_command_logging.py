"""Logging of the command: what a line has, and what it never has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from roost_tests.command import COLOUR, DANGEROUS

PROGRAM = """
import logging, structlog
from roost.cli.logging import set_up_logging
set_up_logging(verbose={verbose}, as_json={as_json})
log = structlog.get_logger("roost.test")
structlog.contextvars.bind_contextvars(flock="research", run="5e5e", actor="Clerk", delivery="1-0")
log.debug("in detail")
log.info("taken", count=3)
log.warning("odd \\x1b[2J name", url="redis://user:secret-word@host", content="what the note holds")
logging.getLogger("other").warning("old %s", "style")
try:
    raise ValueError("\\x9b of redis://user:secret-word@host")
except ValueError:
    log.exception("failed")
"""


SECRETS = {
    "OPENAI_API_KEY": "k3y-of-openai",
    "ANY_TOKEN": "a-token-without-a-digit",
    "ROOST_URL": "redis://user:word%20of@host",
    "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "x-team=owls,authorization=Basic%20Zm9vOmJhcg==",
}
SHOWN = (
    "k3y-of-openai a-token-without-a-digit word of Zm9vOmJhcg== sk-proj-0123456789abcdefgh Bearer abcdefgh0123456789"
)
TELLS_SECRETS = f"""
import logging, structlog
from roost.cli.logging import exporting_lines, set_up_logging
set_up_logging(as_json=True)
log = structlog.get_logger("roost.test")
exported = []
with exporting_lines(lambda record, said, fields: exported.append((record.name, record.levelname, said, fields))):
    log.warning({SHOWN!r}, deep={{"list": [{SHOWN!r}], "text": "what the note holds"}}, owls=[1, None, "many"])
    log.info("only exported")
    try:
        raise ValueError({SHOWN!r})
    except ValueError:
        log.exception("failed")
log.info("said to nobody")
log.warning("large", number=2**70)
logging.getLogger("odd").warning("%d", {SHOWN!r})
print(exported)
"""
TRACED = """
import sys, structlog
from roost.cli.logging import set_up_logging
set_up_logging(as_json=True)
log = structlog.get_logger("roost.test")
log.warning("off")
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
from opentelemetry import context, trace
from roost.cli.logging import exporting_lines
span = trace.NonRecordingSpan(trace.SpanContext(0xabc, 0xdef, False))
with trace.use_span(span):
    log.warning("within")
log.warning("outside")
from opentelemetry.sdk.trace import TracerProvider
from roost.otel import active
from roost.otel.identity import root_of, trace_of
from roost.otel.preset_ids import PresetIds
from roost.otel.tracing import Tracing
active.tracing = Tracing(TracerProvider(id_generator=PresetIds()))
log.warning("of a run", run="5e5e")
log.warning("of none")
print(f"{trace_of('5e5e'):032x} {root_of('5e5e'):016x}")
with exporting_lines(lambda record, said, fields: print("exported")):
    context.attach(context.set_value("suppress_instrumentation", True))
    log.warning("about an export")
"""


def run(tmp_path: Path, verbose: int, as_json: bool) -> str:
    return run_code(tmp_path, PROGRAM.format(verbose=verbose, as_json=as_json)).stderr


def run_code(tmp_path: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
        env=os.environ | environment,
    )  # fmt: skip


def test_a_line_names_flock_run_actor_and_delivery_and_neither_content_nor_passwords(tmp_path: Path) -> None:
    err = run(tmp_path, 1, False)  # no terminal: JSON all the same
    lines: list[dict[str, Any]] = [json.loads(line) for line in err.splitlines()]
    assert [line["event"] for line in lines] == ["taken", "odd \\x1b[2J name", "old style", "failed"]
    for line in lines:
        assert [line[name] for name in ("flock", "run", "actor", "delivery")] == ["research", "5e5e", "Clerk", "1-0"]
        assert line["timestamp"].endswith("Z")
    assert [line["level"] for line in lines] == ["info", "warning", "warning", "error"]
    assert lines[0]["logger"] == "roost.test"
    assert lines[1]["content"] == "(not logged)"
    assert "ValueError" in lines[3]["exception"]
    assert "secret-word" not in err
    assert DANGEROUS.findall(COLOUR.sub("", err)) == []


def test_without_verbose_only_warnings_are_logged_and_with_two_everything(tmp_path: Path) -> None:
    assert [json.loads(line)["level"] for line in run(tmp_path, 0, True).splitlines()] == [
        "warning",
        "warning",
        "error",
    ]
    assert json.loads(run(tmp_path, 2, True).splitlines()[0])["event"] == "in detail"


def test_on_a_terminal_lines_are_for_people(tmp_path: Path) -> None:
    code = "import sys; sys.stderr.isatty = lambda: True\n" + PROGRAM.format(verbose=0, as_json=False)
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    plain = COLOUR.sub("", ran.stderr)
    assert "odd \\x1b[2J name" in plain
    assert "flock=research" in plain
    assert "Traceback (most recent call last)" in plain
    assert "secret-word" not in plain
    assert DANGEROUS.findall(plain) == []


def test_secrets_of_the_environment_are_in_no_line_however_deep_nor_in_one_that_is_exported(tmp_path: Path) -> None:
    ran = run_code(tmp_path, TELLS_SECRETS, **SECRETS)
    for told in (ran.stderr, ran.stdout):
        assert not [word for word in SHOWN.split() if word in told and word not in ("of", "Bearer")]
        assert "what the note holds" not in told
        assert "owls" in told
        assert "ValueError" in told
    *lines, last = ran.stderr.splitlines()
    assert last == "roost: a line of odd could not be logged (TypeError)"
    first, *_, large = map(json.loads, lines)
    assert large["number"] == str(2**70)
    assert first["event"] == "*** *** *** *** sk-*** Bearer ***"
    assert first["owls"] == [1, None, "many"]
    assert "only exported" in ran.stdout
    assert "only exported" not in ran.stderr
    assert "said to nobody" not in ran.stdout


def test_a_line_names_its_trace_and_span_and_looks_for_none_where_nobody_traces(tmp_path: Path) -> None:
    ran = run_code(tmp_path, TRACED)
    lines = {line["event"]: line for line in map(json.loads, ran.stderr.splitlines())}
    of_run = tuple(ran.stdout.split())
    ids = {said: (line.get("trace_id"), line.get("span_id")) for said, line in lines.items()}
    assert ids == {
        "off": (None, None),
        "within": (f"{0xABC:032x}", f"{0xDEF:016x}"),
        "outside": (None, None),
        "of a run": of_run,
        "of none": (None, None),
        "about an export": (None, None),
    }

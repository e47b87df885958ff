"""Conversion of HTML, PDF, Office and other documents to Markdown, in a process that is bounded and alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import ConversionFailed, ConverterMissing, DocumentTooLarge
from .limits import Limits
from .spool import Spool, in_megabytes, path_of

_PROGRAM = Path(__file__).with_name("converter.py")
_ANSWER_BYTES = 16 * 1024
# a converter gets no key, no token and no address from the environment
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "SYSTEMROOT", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Job:
    """What converter.py is told. `ending` names the format."""

    source: str
    target: str
    ending: str
    charset: str
    path: list[str]
    memory_bytes: int
    seconds: int
    target_bytes: int
    unpacked_bytes: int
    unpacked_entries: int


async def convert(
    path: Path, name: str, ending: str, spool: Spool, limits: Limits, *, charset: str = ""
) -> tuple[Path, str]:
    """Convert a local file; answers the path of the Markdown, a file of `spool`, and a title or nothing.

    Raises ConverterMissing, DocumentTooLarge, or ConversionFailed; whatever happens, no process is left.
    """
    if (await asyncio.to_thread(path.stat)).st_size > limits.convert_bytes:
        raise DocumentTooLarge(f"{name}: is over {in_megabytes(limits.convert_bytes)}; save its text and read that")
    with spool.file() as file:
        target = path_of(file)
    job = Job(
        source=str(path),
        target=str(target),
        ending=ending,
        charset=charset,
        path=[place for place in sys.path if os.path.isabs(place)],
        memory_bytes=limits.convert_memory_bytes,
        seconds=max(1, math.ceil(limits.convert_time.total_seconds())),
        target_bytes=limits.converted_bytes,
        unpacked_bytes=limits.unpacked_bytes,
        unpacked_entries=limits.unpacked_entries,
    )
    answer = await _run(job, name, limits)
    if "missing" in answer:
        raise ConverterMissing(
            f'{name}: reading {ending} needs the extra "docs": pip install ".[docs]" where Roost was installed from'
        )
    if "error" in answer:
        raise ConversionFailed(f"{name}: cannot be converted: {answer['error']}")
    return target, str(answer.get("title") or "")


async def _run(job: Job, name: str, limits: Limits) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-X",
        "utf8",
        str(_PROGRAM),
        json.dumps(asdict(job)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={key: os.environ[key] for key in _PASSED_ON if key in os.environ} | _ONE_THREAD,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(limits.convert_time.total_seconds()):
            raw = await _answer(process)
            code = await process.wait()
    except TimeoutError:
        seconds = limits.convert_time.total_seconds()
        raise ConversionFailed(f"{name}: its conversion took over {seconds:g} s and was ended") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.communicate()
    if code == -signal.SIGXCPU or code == -signal.SIGKILL:
        raise ConversionFailed(f"{name}: cannot be converted: it takes too much time or memory")
    try:
        answer: dict[str, Any] = json.loads(raw)
    except ValueError:
        raise ConversionFailed(f"{name}: cannot be converted: the converter broke off (exit {code})") from None
    return answer


async def _answer(process: asyncio.subprocess.Process) -> bytes:
    """What the process says, up to a bound past which it is left to wait for its end."""
    assert process.stdout is not None
    raw = b""
    while len(raw) < _ANSWER_BYTES and (part := await process.stdout.read(_ANSWER_BYTES)):
        raw += part
    return raw

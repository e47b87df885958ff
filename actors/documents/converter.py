"""The program that converts one document to Markdown, in a process of its own that may do little else.

Run by its path, so that nothing of Roost is loaded: `python -I converter.py JOB`, where JOB is JSON with the fields of
`Job` in conversion.py. Writes the Markdown to the job's target and one JSON object to standard output: the `title`, or
what went wrong as `missing` or `error`.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import zipfile
from typing import Any, BinaryIO

_FORBIDDEN = (
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "socket.gethostby",
    "socket.sendto",
    "socket.sendmsg",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.spawn",
    "os.kill",
    "os.putenv",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "os.link",
    "os.chmod",
    "os.chown",
    "os.truncate",
    "shutil.",
    "urllib.",
    "http.client.",
    "ftplib.",
    "smtplib.",
    "webbrowser.",
)
_ZIPPED = (".docx", ".pptx", ".xlsx", ".epub")
_CONVERTERS = {
    ".html": "HtmlConverter",
    ".pdf": "PdfConverter",
    ".docx": "DocxConverter",
    ".pptx": "PptxConverter",
    ".xlsx": "XlsxConverter",
    ".epub": "EpubConverter",
    ".ipynb": "IpynbConverter",
}
_TRAILING_SPACE = re.compile(r"[ \t]+$", re.M)
_BLANK_LINES = re.compile(r"\n{3,}")


def main(job: dict[str, Any]) -> dict[str, str]:
    _limit(job)
    sys.path[:] = job["path"]
    try:
        with open(job["source"], "rb") as file:
            complaint = _complaint_about_zip(file, job)
            return {"error": complaint} if complaint else _convert(file, job)
    except MemoryError:
        return {"error": "it needs too much memory"}
    except RecursionError:
        return {"error": "it is nested too deeply"}
    except Exception as error:  # whatever a parser makes of hostile bytes
        # an exception's own words can be a page long, or nothing
        words = " ".join(str(error).split())[:200]
        return {"error": f"{words} ({type(error).__name__})" if words else type(error).__name__}


def _limit(job: dict[str, Any]) -> None:
    """Bound this process, before anything of the document is looked at."""
    try:
        import resource
        import signal
    except ImportError:
        return  # there is no such thing on Windows; the parent's clock remains
    for what, most in (
        (resource.RLIMIT_AS, job["memory_bytes"]),
        (resource.RLIMIT_CPU, job["seconds"]),
        (resource.RLIMIT_FSIZE, job["target_bytes"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        _, hard = resource.getrlimit(what)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (allowed, allowed))
    signal.alarm(job["seconds"] + 5)  # should the parent be gone


def _complaint_about_zip(file: BinaryIO, job: dict[str, Any]) -> str:
    """What is wrong with a zip-based document before it is unpacked."""
    if job["ending"] not in _ZIPPED:
        return ""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return f"it is damaged, or no {job['ending']} at all"
    file.seek(0)
    if len(entries) > job["unpacked_entries"]:
        return f"it holds {len(entries):,} parts"
    size = sum(entry.file_size for entry in entries)
    if size > job["unpacked_bytes"]:
        return f"it unpacks to {size // 1_048_576:,} MB"
    if any(entry.flag_bits & 1 for entry in entries):
        return "it is encrypted; save it without a password"
    return ""


def _convert(file: BinaryIO, job: dict[str, Any]) -> dict[str, str]:
    try:
        from markitdown import StreamInfo, converters
        from markitdown._exceptions import MissingDependencyException
    except ImportError as error:
        return {"missing": str(error)}
    sys.addaudithook(_forbid)
    converter = getattr(converters, _CONVERTERS[job["ending"]])()
    about = StreamInfo(extension=job["ending"], charset=job["charset"] or None)
    try:
        result = converter.convert(file, about)
    except MissingDependencyException as error:
        return {"missing": str(error)}
    text = _BLANK_LINES.sub("\n\n", _TRAILING_SPACE.sub("", result.markdown))
    try:
        with open(job["target"], "w", encoding="utf-8", errors="replace", newline="\n") as target:
            target.write(text)
    except OSError:
        return {"error": f"its text is over {job['target_bytes'] // 1_048_576:,} MB"}
    return {"title": " ".join((result.title or "").split())[:300]}


def _forbid(event: str, arguments: tuple[object, ...]) -> None:
    """Keep a converter from the network, from other programs and from other files."""
    if event.startswith(_FORBIDDEN):
        raise PermissionError(f"a converter may not do this: {event}")


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # parsers print
        answer = main(json.loads(sys.argv[1]))
    sys.stdout.write(json.dumps(answer))

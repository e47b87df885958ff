"""Exporting seals: to a file, a URL or a topic, where who can change the log cannot take them back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import SettingsError
from .book import Book, add_lines, lines_in, read_book
from .faults import DamagedSeal, ExportFailed
from .seal import Seal

TIMEOUT_S = 30
TOPIC = "kafka:"


async def export(book: Book, places: Sequence[str]) -> int:
    """Bring to each place what it has not yet got of a book; how many seals went out, to all places together. A place
    may get one twice, never out of order. Raises ExportFailed, SettingsError."""
    written = [seal for _, seal in lines_in(read_book(book.path) or b"") if not isinstance(seal, DamagedSeal)]
    sent = 0
    for place in places:
        known = book.exported(place)
        due = [seal for seal in written if seal.number > known]
        if due:
            await _send(place, due)
            book.set_exported(place, due[-1].number)
        sent += len(due)
    return sent


def check_place(place: str) -> str:
    """Raises SettingsError for what is no place."""
    if place.startswith(TOPIC):
        if not place.removeprefix(TOPIC):
            raise SettingsError("name the topic: --to kafka:TOPIC; the brokers are those of KAFKA_BOOTSTRAP")
    elif "://" in place and urlsplit(place).scheme not in ("http", "https"):
        raise SettingsError(f"seals go to a file, to http:// or https://, or to kafka:TOPIC, not to {place!r}")
    return place


def is_url(place: str) -> bool:
    return place.startswith(("http://", "https://"))


async def _send(place: str, seals: list[Seal]) -> None:
    if place.startswith(TOPIC):
        await _to_topic(place.removeprefix(TOPIC), seals)
    elif is_url(place):
        await _to_url(place, seals)
    else:
        await asyncio.to_thread(_to_file, place, seals)


def _to_file(place: str, seals: list[Seal]) -> None:
    path = Path(place).expanduser()
    if path.is_dir():
        raise SettingsError(f"{path} is a directory: name a file to which seals are added")
    add_lines(path, [seal.to_json() for seal in seals])


async def _to_url(url: str, seals: list[Seal]) -> None:
    """One request a seal: POST to the URL; where that ends in a slash, PUT to a name of the seal's own below it."""
    import httpx2

    headers = {"content-type": "application/json"}
    host = urlsplit(url).hostname
    async with httpx2.AsyncClient(timeout=TIMEOUT_S) as client:
        for seal in seals:
            method = "PUT" if url.endswith("/") else "POST"
            where = f"{url}{seal.flock}/{seal.shard}/{seal.number}.json" if method == "PUT" else url
            try:
                answer = await client.request(method, where, content=seal.to_json() + b"\n", headers=headers)
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise ExportFailed(
                    f"seal {seal.number} could not be brought to {host}: {error or type(error).__name__}; it is kept, "
                    "and goes there with the next `roost seal`"
                ) from None
            if not answer.is_success:
                raise ExportFailed(
                    f"{host} answered {answer.status_code} to seal {seal.number}; it is kept, and goes there with the "
                    "next `roost seal`"
                )


async def _to_topic(topic: str, seals: list[Seal]) -> None:
    """A message a seal, under the flock and shard as its key. Brokers and credentials are those of KAFKA_*."""
    from ..kafka.access import KafkaAccess
    from ..kafka.faults import explain
    from ..kafka.message import Message
    from ..kafka.sender import Sender

    access = KafkaAccess.read()
    sender = Sender(access, "", "idempotent", "none")
    try:
        async with asyncio.timeout(2 * TIMEOUT_S):
            await sender.start()
            for seal in seals:
                key = f"{seal.flock}/{seal.shard}".encode()
                await sender.add(topic, Message(key, seal.to_json(), [], seal.time))
            await sender.commit()
    except SettingsError:
        raise
    except Exception as error:  # whatever the client makes of it: the seals are kept, and go there the next time
        raise explain(error, access.bootstrap) from error
    finally:
        await sender.stop()

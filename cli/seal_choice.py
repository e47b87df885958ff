"""Which seals, keys and files of seals a command means."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from roost.streams import Connection, Shard
    from roost.streams.seals.chain import Source
    from roost.streams.seals.key import Algorithm, Trusted
    from roost.streams.seals.sealer import Sealer

PATIENCE = timedelta(seconds=60)
MAX_FETCHED = 256 * 1024 * 1024


async def found_shards(connection: Connection, flock: str) -> list[Shard]:
    """Raises RoostError where there is no such flock."""
    from roost.streams import RoostError
    from roost.streams.every_shard import find_shards

    shards = await find_shards(connection.client, flock, patience=PATIENCE)
    if not await shards[0].command("EXISTS", shards[0].keys.key("meta")):
        raise RoostError(f"there is no flock {flock!r} on this server")
    return shards


def key_path(home: Path, key: str | None) -> Path:
    """As named, or this machine's own."""
    return Path(key).expanduser() if key else home / "seals" / "key"


def sealers_for(
    shards: Sequence[Shard], home: Path, key: Path, algorithm: Algorithm, public_keys: Sequence[str]
) -> list[Sealer]:
    """With the key, which is made if it is not there. Raises SettingsError."""
    from roost.streams.seals.book import Book
    from roost.streams.seals.key import Trusted, make_key, public_path, read_key, read_trusted
    from roost.streams.seals.sealer import Sealer

    from .failure import tell

    if not key.exists():
        make_key(key, algorithm)
        how = f"; who verifies elsewhere needs {public_path(key)}" if public_path(key).exists() else ""
        tell(f"made the key {key}{how}")
    signing = read_key(key)
    trusted = Trusted([signing, *[read_trusted(Path(each).expanduser()) for each in public_keys]])
    return [Sealer(shard, Book(home, shard.keys.flock, shard.number), signing, trusted) for shard in shards]


def trusted_keys(home: Path, key: str | None, public_keys: Sequence[str]) -> Trusted:
    """The public keys that were named, and nothing else; or this machine's own. Raises SettingsError."""
    from roost.streams.seals.faults import UnfitKey
    from roost.streams.seals.key import Trusted, public_path, read_trusted

    if public_keys:
        return Trusted([read_trusted(Path(each).expanduser()) for each in public_keys])
    path = key_path(home, key)
    for each in (public_path(path), path):
        if each.exists():
            return Trusted([read_trusted(each)])
    raise UnfitKey(f"there is no key at {path} to check seals by: name the public key by --public-key FILE")


async def sources_of(home: Path, flock: str, shards: int, against: Sequence[str]) -> dict[int, list[Source]]:
    """By shard, the book and what was exported; of so many shards, and of others that these tell of. Raises
    SettingsError, RoostError."""
    from roost.streams.seals.book import Book, lines_in, read_book
    from roost.streams.seals.chain import Source
    from roost.streams.seals.seal import Seal

    exported = [Source(place, await _exported(place), is_book=False) for place in against]
    told = [seal for source in exported for _, seal in lines_in(source.content) if isinstance(seal, Seal)]
    written = Book(home, flock, 0).path.parent.glob("*.jsonl")
    numbers = {int(path.stem) for path in written if path.stem.isdecimal()}
    found: dict[int, list[Source]] = {}
    for shard in sorted({*range(shards), *numbers, *[seal.shard for seal in told if seal.flock == flock]}):
        path = Book(home, flock, shard).path
        content = read_book(path)
        # Without a book and with nothing else to go by, there is an empty one: what the log tells shows it.
        book = [Source(str(path), content or b"", is_book=True)] if content is not None or not exported else []
        found[shard] = [*book, *exported]
    return found


async def _exported(place: str) -> bytes:
    from roost.streams.seals.export import is_url

    return await _fetched(place) if is_url(place) else _read(place)


def _read(place: str) -> bytes:
    from roost.streams import SettingsError
    from roost.streams.seals.book import read_book

    content = read_book(Path(place).expanduser())
    if content is None:
        raise SettingsError(f"{place}: there is no such file of seals")
    return content


async def _fetched(url: str) -> bytes:
    import httpx2

    from roost.streams import RoostError, SettingsError

    read = bytearray()
    try:
        async with (
            httpx2.AsyncClient(timeout=30, follow_redirects=True) as client,
            client.stream("GET", url) as answer,
        ):
            answer.raise_for_status()
            async for part in answer.aiter_bytes():
                read += part
                if len(read) > MAX_FETCHED:
                    raise SettingsError(f"{url} has more than {MAX_FETCHED:,} bytes: fetch it into a file")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise RoostError(f"the seals cannot be fetched: {error or type(error).__name__}") from None
    return bytes(read)

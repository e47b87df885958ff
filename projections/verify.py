"""Verify: the log against itself, and what the server keeps by itself against the log, which is folded here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from roost.streams import Log, Position, RoostError, Shard
from roost.streams.adoption import read_import
from roost.streams.log import read_horizon
from roost.streams.restoration import read_restored

from .difference import Difference, find_differences
from .log_check import LogCheck, LogDamage, known_ids
from .start import FindStart, from_the_beginning

MAX_FINDINGS = 100
ATTEMPTS = 5
"""The log may be trimmed meanwhile: then it begins again, from the state of then."""
Progress = Callable[[int], None]
"""Told of how many more events have been read."""


@dataclass(slots=True)
class Verdict:
    """What a verification has found. `count` counts all findings, of which the first 100 are told."""

    shards: int = 0
    events: int = 0
    subjects: int = 0
    notes: int = 0
    contents: int | None = None
    """Contents that were read and matched with their digests; None: nobody asked for that."""
    causes_checked: bool = True
    """Causes of a log that was trimmed may be in the archive, those of an imported run in its origin: these are not
    looked for."""
    imported: bool = False
    """A shard holds an imported run."""
    odd: int = 0
    """Events of notes whose data does not fit their type: they are left out of what is folded."""
    seconds: float = 0.0
    count: int = 0
    findings: list[Difference] = field(default_factory=list[Difference])

    @property
    def is_clean(self) -> bool:
        return self.count == 0

    def take(self, found: Verdict, shard: int | None) -> None:
        """What was found in one shard, named where there are several."""
        for finding in found.findings:
            self.tell(finding if shard is None else replace(finding, what=f"shard {shard}: {finding.what}"))
        self.count += found.count - len(found.findings)
        if found.contents is not None:
            self.contents = (self.contents or 0) + found.contents

    def tell(self, finding: Difference) -> None:
        self.count += 1
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)


async def verify(
    shards: Sequence[Shard],
    *,
    content: bool = False,
    start: FindStart = from_the_beginning,
    progress: Progress | None = None,
) -> Verdict:
    """Check a flock's log, and that what the server keeps of notes and versions is what the log makes of it.

    The flock may be at work meanwhile: where something differs, appends are held for a moment to look once more.
    `content`: also read every content and match it with its digest. Raises RoostError, also where the log was trimmed
    and `start` gives no state.
    """
    begun, verdict = time.monotonic(), Verdict(len(shards))
    checks: list[LogCheck] = []
    for shard in shards:
        check, found = await _verify_shard(shard, start, content, progress)
        checks.append(check)
        verdict.imported = verdict.imported or await read_import(shard) is not None
        verdict.causes_checked = verdict.causes_checked and not verdict.imported and await read_horizon(shard) is None
        verdict.take(found, shard.number if len(shards) > 1 else None)
    if verdict.causes_checked:
        await _check_causes(checks, shards, verdict)
    verdict.events = sum(check.events for check in checks)
    verdict.subjects = sum(len(check.versions) for check in checks)
    verdict.notes = sum(len(check.notes) for check in checks)
    verdict.odd = sum(check.notes.odd for check in checks)
    verdict.seconds = time.monotonic() - begun
    return verdict


async def _verify_shard(
    shard: Shard, start: FindStart, content: bool, progress: Progress | None
) -> tuple[LogCheck, Verdict]:
    for _ in range(ATTEMPTS):
        found = Verdict()
        horizon = await read_horizon(shard)
        restored = await read_restored(shard)
        if restored is not None and not restored[1]:
            raise RoostError(
                f"flock {shard.keys.flock!r} is being restored, or that was cut off: `roost restore` ends it; verify "
                "it then"
            )
        upto = None if restored is None else Position.parse(restored[0].at, shard=shard.number)
        check = LogCheck(shard, await start(shard), found.tell, upto)
        await check.advance(progress)
        differences = await find_differences(shard, check.notes, check.versions, check.advance)
        for difference in differences.found:
            for finding in await _named(shard, difference):
                found.tell(finding)
        found.count += differences.more
        await check.check_ends()
        if content:
            found.contents = await _check_contents(shard, check, found.tell)
        if await read_horizon(shard) == horizon:
            return check, found
    raise RoostError("the log is trimmed again and again: verify when that has ended")


async def _named(shard: Shard, difference: Difference) -> list[Difference]:
    """A version that the log does not have may be that of an event that was deleted: that is what is wrong then."""
    entry = str(difference.served or "").partition(" ")[2]
    if not difference.what.startswith("version of ") or not entry or "-" not in entry:
        return [difference]
    subject = difference.what.removeprefix("version of ")
    folded = str(difference.folded or "").partition(" ")[2]
    if not _is_behind(entry, folded) or await shard.command("XRANGE", shard.keys.log, entry, entry):
        return [difference]
    version = difference.served.partition(" ")[0]
    return [LogDamage(f"log entry {entry}", f"version {version} of {subject}, its last event", "none"), difference]


def _is_behind(entry: str, other: str) -> bool:
    try:
        return tuple(map(int, entry.split("-"))) > tuple(map(int, (other or "0-0").split("-")))
    except ValueError:
        return False


async def _check_causes(checks: Sequence[LogCheck], shards: Sequence[Shard], verdict: Verdict) -> None:
    for check in checks:
        check.seal()
    for check in checks[:-1]:  # a cause may have been appended after its shard was read, and before the next one was
        await check.advance()
    known = known_ids(checks)
    for check, shard in zip(checks, shards, strict=True):
        for position in check.lost_causes(known):
            event = await Log(shard).at(position) if verdict.count < MAX_FINDINGS else None
            cause = "" if event is None else f" {event.cause}"
            verdict.tell(LogDamage(f"cause of the event at {position}", f"the event{cause} in the log", "none"))


async def _check_contents(shard: Shard, check: LogCheck, tell: Callable[[Difference], None]) -> int:
    """Every content that a note names, against its digest."""
    fine = 0
    for digest in list(check.notes.names_of_blob):
        raw: Any = await shard.command("GET", shard.keys.key("blob", digest))
        if raw is None:
            continue  # told of already, or forgotten meanwhile
        if sha256(raw).hexdigest() == digest:
            fine += 1
        else:
            tell(Difference(f"content of blob {digest}", digest, sha256(raw).hexdigest()))
    sizes = {note.record.digest: note.record.size for note in check.notes}
    for digest, size in sizes.items():
        length = int(await shard.command("STRLEN", shard.keys.key("blob", digest)))
        if length not in (0, size):
            tell(Difference(f"size of blob {digest}", size, length))
    return fine

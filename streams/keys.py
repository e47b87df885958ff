"""Every Redis key that Roost uses, named in one place, for Python and for Lua alike.

A key is `roost:{<flock>.<shard>}:<kind>[:<id>]`; the braces put all keys of a shard into one hash slot. A script is
given one key, the log's, and makes the others from it with the table that `lua_names` writes for it: they are in the
same slot, and redis-py packs every further argument in Python.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import SettingsError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
GROUP = "workers"
"""The consumer group of every inbox."""

KINDS = {
    "log": "stream: every event of the shard, in order",
    "meta": "hash: format, epoch, routes generation, settings of the flock",
    "versions": "hash: subject -> '<version> <entry of its last event>'",
    "producer": "hash per writer: number, token and answer of its last call; expires",
    "routes": "hash: inbox -> JSON of the event types and the run it takes",
    "bounds": "hash: inbox -> '<most that it holds> <wait or refuse>'; an inbox that is not in it has no bound",
    "keys": "hash: note key -> note ID",
    "note": "hash per note: record, digest, size, deadline, key, entry, work",
    "blob": "string per digest: content",
    "refs": "hash: digest -> number of events in the log that name it",
    "deadlines": "sorted set: every live note's ID by its deadline in milliseconds; +inf without one",
    "expired": "hash: ID of an expired note -> digest of its content, which the log still names",
    "claim": "hash per key while its note is computed: nonce, entry, time, owner; expires",
    "inbox": "stream per actor: what it has still to handle",
    "dead": "stream per actor: parked deliveries",
    "lanes": "hash per keyed actor: number of lanes, entries set aside; of each lane generation, lease, owner",
    "crew": "sorted set per keyed actor: its workers by the end of their lease in milliseconds",
    "news": "stream per keyed actor: that workers came and left; the last ones",
    "stalled": "hash per lane: key whose deliveries are set aside -> '<open or halted> <mark> <first entry>'",
    "aside": "stream per stalled key: its deliveries, in order",
    "parked": "sorted set: '<ID> <inbox> <entry>' of every parked delivery, by when it was parked, in milliseconds",
    "settled": "hash per delivery that a person has settled: how, by whom, meta of the event; expires",
    "timers": "sorted set per actor: deliveries that wait, by due time in milliseconds",
    "waiting": "hash per actor: the deliveries that wait in its timers",
    "later": "sorted set: ID of every event that is to be appended later, by its due time in milliseconds",
    "letters": "hash: ID of such an event -> JSON of its subject, type, meta and data",
    "tries": "hash per actor: entry -> the attempt that was begun last, of deliveries whose worker may die of it",
    "state": "hash per keyed actor: key -> '<version> <JSON>'",
    "outbox": "stream per shard: units that a relay brings there",
    "came": "hash: shard -> name of the last unit that came from its outbox",
    "lease": "string per fleet-wide job: who does it; expires",
    "budget": "hash per run: model calls and cost reserved so far; expires",
    "allowed": "hash: 'own <agent>', or 'each' -> '<notes> <bytes>' that it may have in this shard, '-' for any number",
    "counted": "hash: 'notes <agent>', 'bytes <agent>' that live; while any agent is limited",
    "permits": "sorted set per model: permits of calls under way, by the end of their leases in milliseconds",
    "calls": "sorted set per model: calls of the last minute, by their time in milliseconds; expires",
    "usage": "hash per model: call -> tokens; their sum, a pause, whose turn it is; expires",
    "refold": "hash per rebuild of inline projections: its checkpoint, how far it is",
    "fresh": "what such a rebuild has folded, until it takes the place of what is served",
    "marks": "hash: what reads the log beside projections, an archive or a bridge -> the entry that it has come to",
    "last": "hash: subject whose last event says how it stands, an effect, a topic -> that event, once it was trimmed",
    "views": "hash: '<projection>/<version>' -> how far it has come; '<projection>' -> the version that is read",
    "view": "hash per projection and version: key of a row -> JSON",
    "order": "sorted set per projection and version: keys of its rows, in their order",
    "poison": "stream per projection and version: events that it could not fold; the last ones",
    "bell": "sharded channel: news of keys, of forgotten notes and of a new epoch",
}


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one shard."""

    flock: str
    shard: int = 0

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.flock):
            raise SettingsError(
                f"{self.flock!r} cannot name a flock: use up to 64 letters, digits, dots, dashes and underscores"
            )

    @property
    def prefix(self) -> str:
        return f"roost:{{{self.flock}.{self.shard}}}:"

    @property
    def log(self) -> str:
        return self.key("log")

    def key(self, kind: str, ident: str | None = None) -> str:
        """The key of that kind; `ident` where a kind has many."""
        if kind not in KINDS:
            raise KeyError(kind)
        return f"{self.prefix}{kind}" if ident is None else f"{self.prefix}{kind}:{ident}"


def lua_names(text: str) -> str:
    """Lua that makes the keys that `text` uses from the log's: `K.log`, `K.note .. id`. Kinds with an ID end in a colon
    there."""
    plain = {
        "log", "meta", "versions", "routes", "bounds", "keys", "refs", "deadlines", "expired", "later", "letters",
        "parked", "came", "views", "marks", "last", "allowed", "counted",
    }  # fmt: skip
    lines = ["local P = string.sub(KEYS[1], 1, -4)", "local K = {"]
    used = set(re.findall(r"\bK\.(\w+)", text))
    lines += [f"  {kind} = P .. '{kind}{'' if kind in plain else ':'}'," for kind in KINDS if kind in used]
    lines += ["}", f"local GROUP = '{GROUP}'"]
    return "\n".join(lines)

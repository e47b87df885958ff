"""What a keyed inbox with its lanes should be, and how it is looked at: whole, in one call."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from roost.streams import Delivery, Keys
from roost.streams.event import pairs
from roost.streams.keys import GROUP
from roost.streams.lanes import Stalled

from .lane_hand import INBOX, LANES, number_of

LOOK = """
local found = {}
for i, command in ipairs(cjson.decode(ARGV[1])) do
  local answer = redis.pcall(unpack(command))
  found[i] = answer.err and {} or answer
end
return found
"""
Entries = dict[str, dict[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class LaneView:
    entries: Entries
    pending: dict[str, tuple[str, int]]
    """Consumer and count."""
    stalled: dict[str, Stalled]
    marks: dict[str, str]
    """The last mark of each key that is stalled, '-' for none."""
    tries: frozenset[str]
    aside: dict[str, Entries]

    def untold(self) -> Any:
        """All but the counts, which a former owner may set back where nobody has taken the lane's deliveries yet."""
        owners = {entry: consumer for entry, (consumer, _) in self.pending.items()}
        return self.entries, owners, self.stalled, self.marks, self.aside


@dataclass(frozen=True, slots=True)
class View:
    """Everything on the server that has to do with the inbox."""

    log: list[tuple[str, dict[bytes, bytes]]]
    front: Entries
    dead: Entries
    lanes: list[LaneView]
    owners: dict[str, tuple[int, str]]
    """Generation and owner of each lane and of the front."""
    aside: int
    """How many are aside, by the server's own count."""

    def besides_tries(self) -> Any:
        """All but which attempts have begun."""
        return replace(self, lanes=[replace(lane, tries=frozenset[str]()) for lane in self.lanes])

    def accepts(self, delivery: Delivery) -> bool:
        """Whether a unit that settles it must go through."""
        lane, _, _ = delivery.token.inbox.partition("/")
        held = self.lanes[int(lane)].pending.get(delivery.token.entry)
        current = self.owners.get(lane, (0, ""))[0]
        return current == delivery.generation and held == (delivery.token.consumer, delivery.token.count)

    def handled(self) -> list[tuple[str, int]]:
        """Key and number, in the order in which they took effect."""
        bodies = [orjson.loads(fields[b"data"]) for _, fields in self.log if fields[b"type"] == b"lane.handled"]
        return [(body["key"], body["n"]) for body in bodies]

    def places(self) -> Counter[int]:
        """In how many places each event is: to be handled, parked, or handled."""
        streams = [self.front, self.dead]
        for lane in self.lanes:
            streams += [lane.entries, *lane.aside.values()]
        found = Counter(number_of(fields) for entries in streams for fields in entries.values())
        found.update(n for _, n in self.handled())
        del found[-1]
        return found


async def look(client: Any, keys: Keys, names: tuple[str, ...]) -> View:
    """As it is now. `names` are the keys of the actor's events."""
    commands: list[list[Any]] = [
        ["XRANGE", keys.log, "-", "+"],
        ["HGETALL", keys.key("lanes", INBOX)],
        ["XRANGE", keys.key("inbox", INBOX), "-", "+"],
        ["XRANGE", keys.key("dead", INBOX), "-", "+"],
    ]
    for lane in range(LANES):
        name = f"{lane}/{INBOX}"
        commands += [
            ["XRANGE", keys.key("inbox", name), "-", "+"],
            ["XPENDING", keys.key("inbox", name), GROUP, "-", "+", 1000],
            ["HGETALL", keys.key("stalled", name)],
            ["HKEYS", keys.key("tries", name)],
            *[["XRANGE", keys.key("aside", f"{name}/{key}"), "-", "+"] for key in names],
        ]
    found = await client.execute_command("EVAL", LOOK, 1, keys.log, orjson.dumps(commands))
    stored = {field.decode(): value.decode() for field, value in pairs(found[1]).items()}
    owners = {lane: stored[lane].split(" ") for lane in stored if lane not in ("count", "aside")}
    lanes, width = list[LaneView](), 4 + len(names)
    for first in range(4, len(found), width):
        entries, pending, stalled, tries, *aside = found[first : first + width]
        how = {key.decode(): text.decode() for key, text in pairs(stalled).items()}
        lanes.append(
            LaneView(
                _entries(entries),
                {row[0].decode(): (row[1].decode(), int(row[3])) for row in pending},
                {key: Stalled.parse(text) for key, text in how.items()},
                {key: text.split(" ")[1] for key, text in how.items()},
                frozenset(entry.decode() for entry in tries),
                {key: _entries(each) for key, each in zip(names, aside, strict=True)},
            )
        )
    return View(
        list(_entries(found[0]).items()), _entries(found[2]), _entries(found[3]), lanes,
        {lane: (int(generation), owner) for lane, (generation, _, owner) in owners.items()},
        int(stored.get("aside", 0)),
    )  # fmt: skip


def _entries(rows: list[Any]) -> Entries:
    return {entry.decode(): dict(pairs(fields)) for entry, fields in rows}


@dataclass(slots=True)
class LaneShadow:
    """What was appended, what people have said, and who has had what."""

    keys: dict[int, str] = field(default_factory=dict[int, str])
    """Of each event that was routed to the inbox, by its number."""
    dropped: set[int] = field(default_factory=set[int])
    parked: set[int] = field(default_factory=set[int])
    """Ever: without `halt` a person puts them where nobody waits for them."""
    freed: set[str] = field(default_factory=set[str])
    """Keys of which something was parked when their inbox was taken away: to have that tried again lets them go on,
    too, should they halt for something else by then."""
    given: dict[tuple[str, int, str, int], Delivery] = field(default_factory=dict[tuple[str, int, str, int], Delivery])
    """Every delivery that was ever begun, by lane, generation, entry and count."""
    owners: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    silent: set[str] = field(default_factory=set[str])
    """Whose leases have ended, and who has not been heard of since."""

    def check_places(self, view: View) -> None:
        """Every event is in exactly one place: never lost, never twice."""
        places = view.places()
        for n in self.keys:
            if n in self.dropped:
                assert places.pop(n, 0) <= 1, (n, "was dropped, and is there twice")
            else:
                assert places.pop(n, 0) == 1, (n, "is lost, or there twice")
        assert not +places, "nothing is there that was never appended"

    def drop_all(self, view: View) -> None:
        """The inbox was taken away, with what it held; what is parked stays."""
        dead = {number_of(fields) for fields in view.dead.values()}
        self.dropped |= self.keys.keys() - dead - {n for _, n in view.handled()}
        self.freed |= {self.keys[n] for n in dead}
        self.owners = {}

    def check_order(self, view: View, *, halts: bool) -> None:
        """What took effect for a key did so in the order of appending."""
        self.parked |= {number_of(fields) for fields in view.dead.values()}
        last: dict[str, int] = {}
        for key, n in view.handled():
            assert self.keys[n] == key
            if n not in self.parked or (halts and key not in self.freed):
                assert n > last.get(key, -1), (key, n, "overtook, or was overtaken")
                last[key] = n

    def check_log(self, view: View) -> None:
        """Versions without gaps; each event names the one before it."""
        last: dict[bytes, tuple[int, str | None]] = {}
        for entry, fields in view.log:
            version, previous = last.get(fields[b"subject"], (0, None))
            assert int(fields[b"ver"]) == version + 1
            assert fields.get(b"prev") == (None if previous is None else previous.encode())
            last[fields[b"subject"]] = (version + 1, entry)

    def check_lanes(self, view: View) -> None:
        """What the server keeps of the lanes fits together."""
        waiting = sum(len(entries) for lane in view.lanes for entries in lane.aside.values())
        assert view.aside == waiting, "the server's count of what is aside"
        for lane in view.lanes:
            assert lane.pending.keys() <= lane.entries.keys(), "nothing is pending that is not there"
            assert lane.tries <= lane.entries.keys(), "what has ended leaves nothing"
            for key, entries in lane.aside.items():
                assert not entries or key in lane.stalled, (key, "waits aside, and nobody knows")
            for key, mark in lane.marks.items():
                assert mark == "-" or mark in lane.entries, (key, "waits for a mark that is not there")

    def check_owners(self, view: View) -> None:
        """Generations only rise, and do when a lane changes hands."""
        for lane, (generation, owner) in view.owners.items():
            before, former = self.owners.get(lane, (0, ""))
            assert generation >= before, (lane, "a generation came again")
            assert generation > before or owner in (former, ""), (lane, "has a new owner since the same generation")
            assert owner in (former, "") or former in ("", *self.silent), (lane, "was taken from one that lives")
        self.owners = view.owners

    def check_begun(self, view: View, begun: list[Delivery]) -> None:
        """No two deliveries of a key have begun that could both be committed."""
        keys = [self.keys[delivery.event.data["n"]] for delivery in begun if view.accepts(delivery)]
        assert len(set(keys)) == len(keys), (keys, "two deliveries of a key have begun")

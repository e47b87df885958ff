"""The checker: reads what a chaos run has left, and says what must not be."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from roost.streams import Event

from . import ledger
from .evidence import Evidence
from .world import COMMANDS, HALTING, KEYS, TAKERS, is_poison

ENDINGS = ("delivery.handled", "delivery.parked")
ORDERED = True
"""Whether keys are handled in order across processes."""
GONE_LEASES = 14
"""Leases after which the consumer of a dead process must have been deleted: ten of silence, and a sweep."""


@dataclass(frozen=True, slots=True)
class Violation:
    """`rule` names what was broken; `text` says what was found, and at which positions."""

    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.text}"


@dataclass(frozen=True)
class Case:
    """The evidence, and what all rules need to know of it."""

    evidence: Evidence
    lease_s: float
    ordered: bool
    repeats: bool

    @property
    def events(self) -> list[Event]:
        return self.evidence.events

    @cached_property
    def is_spread(self) -> bool:
        """Whether it has several shards: between them there is no one order."""
        return any(_shard(event) for event in self.events)

    @cached_property
    def taken(self) -> list[Event]:
        """Events that an actor must take, in the order of the log."""
        return [event for event in self.events if event.type in TAKERS]

    @cached_property
    def endings(self) -> dict[tuple[str, str], list[Event]]:
        """How deliveries ended, by actor and event. Where a key halts, what was parked has not ended."""
        found: dict[tuple[str, str], list[Event]] = defaultdict(list)
        for event in self.events:
            if event.type == "delivery.handled" or (event.type == "delivery.parked" and event.actor != HALTING):
                found[event.actor or "", event.data["event"]].append(event)
        return found

    @cached_property
    def effects(self) -> dict[str, list[Event]]:
        """What was written because of an event, by that event, without records of its delivery."""
        found: dict[str, list[Event]] = defaultdict(list)
        for event in self.events:
            if event.cause is not None and event.type.startswith(("chaos.", "note.written")):
                found[event.cause].append(event)
        return found

    def was_parked(self, event: Event) -> bool:
        return any(end.type == "delivery.parked" for end in self.endings[TAKERS[event.type], event.id])

    def is_unknown(self, event: Event) -> bool:
        """Whether it was parked because nobody knows what has happened outside."""
        ends = self.endings[TAKERS[event.type], event.id]
        return any(end.data.get("error") == "EffectUnknown" for end in ends) and bool(event.data.get("mail"))


def check(
    evidence: Evidence, *, lease_s: float = 1.5, ordered: bool = ORDERED, repeats: bool = False
) -> list[Violation]:
    """Everything that is wrong; nothing, if all held. `ordered`: whether keys are in order across processes. `repeats`:
    whether a primary may have been lost with what it had not acknowledged, which is then appended once more."""
    case = Case(evidence, lease_s, ordered, repeats)
    rules = {
        "log": _log, "commands": _commands, "deliveries": _deliveries, "poison": _poison, "effects": _effects,
        "timers": _timers, "outside": _outside, "order": _order, "ledger": _ledger, "states": _states, "once": _once,
        "inboxes": _inboxes, "consumers": _consumers, "keys": _keys, "verify": _verify,
    }  # fmt: skip
    return [Violation(name, text) for name, rule in rules.items() for text in rule(case)]


def _at(events: Iterable[Event]) -> str:
    return ", ".join(f"{event.type} at {event.position}" for event in events)


def _log(case: Case) -> Iterator[str]:
    """Versions are gapless, identities are unique, causes are there."""
    versions: Counter[tuple[int, str]] = Counter()
    known: set[str] = set()
    for event in case.events:
        place = (_shard(event), event.subject)  # what is about an actor as a whole stands where it happened
        versions[place] += 1
        if event.version != versions[place]:
            yield (
                f"{event.subject} has version {event.version} at {event.position}, not {versions[place]}: "
                "versions have a gap, or one twice"
            )
            versions[place] = event.version or 0
        if event.id in known:
            yield f"the event {event.id} is twice in the log: {_at(e for e in case.events if e.id == event.id)}"
        # What a lost primary had not acknowledged may have been seen, and looked into, before it was repeated.
        early = case.is_spread or (case.repeats and event.type.startswith(("work.", "note.")))
        if event.cause is not None and event.cause not in known and not early:
            yield f"{event.type} at {event.position} has the cause {event.cause}, which is not before it in the log"
        known.add(event.id)


def _commands(case: Case) -> Iterator[str]:
    """What was accepted is in the log once, where it was said to be; what was refused is not; of others one at most."""
    found: dict[str, list[Event]] = defaultdict(list)
    for event in case.events:
        if event.type in COMMANDS:
            found[event.data["command"]].append(event)
    sent = {one.command: one for one in case.evidence.sent}
    for command, one in sent.items():
        there = found.get(command, [])
        if len(there) > 1:
            yield f"the command {command} ({one.fate}) was appended {len(there)} times: {_at(there)}"
        elif one.fate == "accepted" and not there:
            yield f"the command {command} was accepted at {one.position} and is not in the log"
        elif one.fate == "accepted" and one.position not in ("", str(there[0].position)):
            yield f"the command {command} was accepted at {one.position} and is in the log at {there[0].position}"
        elif one.fate == "refused" and there:
            yield f"the command {command} was refused and is in the log: {_at(there)}"
    for command in found.keys() - sent.keys():
        yield f"nobody sent the command {command}: {_at(found[command])}"
    yield from _lines(case, found)


def _lines(case: Case, found: dict[str, list[Event]]) -> Iterator[str]:
    """What one line of a producer appended one after the other stands in the log in that order."""
    order = {event.id: place for place, event in enumerate(case.events)}
    lines: dict[tuple[str, int], list[tuple[int, int, str]]] = defaultdict(list)
    for one in case.evidence.sent:
        if one.fate == "accepted" and found.get(one.command):
            lines[one.line, _shard(found[one.command][0])].append(
                (one.number, order[found[one.command][0].id], one.command)
            )
    for line in lines.values():
        line.sort()
        for (_, before, first), (_, after, second) in pairwise(line):
            if after < before:
                yield f"{second} was appended after {first}, and stands before it in the log"


def _deliveries(case: Case) -> Iterator[str]:
    """Each delivery ended once: it was handled, or parked."""
    wanted = {(TAKERS[event.type], event.id) for event in case.taken}
    for event in case.taken:
        actor = TAKERS[event.type]
        ends = case.endings.get((actor, event.id), [])
        if len(ends) != 1:
            yield f"{event.type} {_name(event)} at {event.position} ended {len(ends)} times at {actor}: {_at(ends)}"
    for (actor, cause), ends in case.endings.items():
        if (actor, cause) not in wanted:
            yield f"{actor} ended a delivery of {cause}, which is nothing it takes: {_at(ends)}"


def _name(event: Event) -> str:
    return str(event.data.get("command", event.id))


def _poison(case: Case) -> Iterator[str]:
    """Poison is parked, and nothing else; what is parked stands in the dead-letter stream, once."""
    for event in case.taken:
        poison, parked = is_poison(event.data.get("act", "")), case.was_parked(event)
        if case.is_unknown(event):  # for a person to settle: see _outside
            continue
        if poison != parked and len(case.endings[TAKERS[event.type], event.id]) == 1:
            (end,) = case.endings[TAKERS[event.type], event.id]
            why = f" ({end.data.get('error')}: {end.data.get('message')})" if parked else ""
            act = event.data.get("act") or "plain"
            yield f"{event.type} {_name(event)} at {event.position}, {act}: {_at([end])}{why}"
    for actor, ids in case.evidence.parked.items():
        told = Counter(
            end.data["event"]
            for (of, _), ends in case.endings.items()
            for end in ends
            if of == actor and end.type == "delivery.parked"
        )
        if told != Counter(ids):
            odd = sorted((told - Counter(ids)) + (Counter(ids) - told))
            yield f"the log and the dead-letter stream of {actor} differ in what was parked: {odd[:5]}"


EFFECTS: dict[str, tuple[list[str], ...]] = {
    "chaos.count": (["chaos.counted"],),
    "chaos.step": (["chaos.stepped"],),
    "chaos.transfer": (["chaos.withdrawn", "chaos.deposit"], ["chaos.declined"]),
    "chaos.deposit": (["chaos.deposited"],),
    "chaos.job": (["note.written", "chaos.done"], ["note.written", "chaos.done", "chaos.reminder"]),
    "chaos.reminder": (["chaos.reminded"],),
}
NO_EFFECTS: tuple[list[str], ...] = ([],)
"""What a handled event leads to, in the order of the log."""


def _effects(case: Case) -> Iterator[str]:
    """What was handled has had its effects exactly once; what was parked has had none."""
    for event in case.taken:
        effects = [one for one in case.effects.get(event.id, []) if not one.subject.startswith("key/topic/")]
        kinds = [one.type for one in effects]
        right = NO_EFFECTS if case.was_parked(event) else EFFECTS[event.type]
        if kinds not in right and not (case.is_spread and sorted(kinds) in map(sorted, right)):
            how, had = "parked" if case.was_parked(event) else "handled", _at(effects) or "none"
            yield f"{event.type} {_name(event)} at {event.position} was {how} and had these effects: {had}"
        elif any(one.data.get("command", _name(event)) != _name(event) for one in effects):
            yield f"{event.type} {_name(event)} at {event.position} had effects of another command: {_at(effects)}"


def _timers(case: Case) -> Iterator[str]:
    """What was to be reminded of was, once and not too early."""
    for event in case.taken:
        if event.type != "chaos.job":
            continue
        wanted = bool(event.data["reminder_ms"]) and not case.was_parked(event)
        reminders = [one for one in case.effects.get(event.id, []) if one.type == "chaos.reminder"]
        if len(reminders) != wanted:
            yield f"{_name(event)} at {event.position} led to {len(reminders)} reminders: {_at(reminders)}"
        ends = case.endings[TAKERS[event.type], event.id]
        for early in reminders:
            if ends and _ms(early) < _ms(ends[0]) + event.data["reminder_ms"]:
                yield f"the reminder of {_name(event)} came too early: {_at([ends[0], early])}"


def _outside(case: Case) -> Iterator[str]:
    """What happens outside happens once at most; once exactly, where its delivery was handled."""
    happened = Counter(case.evidence.outside)
    intents = Counter(event.subject for event in case.events if event.type == "effect.intended")
    intents.subtract(event.subject for event in case.events if event.type == "effect.undone")
    for event in case.taken:
        if event.type != "chaos.job":
            continue
        key = f"mail/{_name(event)}"
        times, most = happened.pop(key, 0), int(event.data["mail"])
        least = 0 if case.was_parked(event) else most
        if not least <= times <= most:
            yield f"the effect {key} of {event.type} at {event.position} happened {times} times"
        if intents[f"effect/{key}"] > 1:
            yield f"the effect {key} was begun {intents[f'effect/{key}']} times"
    for key in happened:
        yield f"the effect {key} happened, and nobody asked for it"


def _order(case: Case) -> Iterator[str]:
    """Events of one key, appended in one shard, end in the order in which they were appended."""
    if not case.ordered:
        return
    order = {event.id: place for place, event in enumerate(case.events)}
    keys: dict[tuple[str, str, int], list[Event]] = defaultdict(list)
    for event in case.taken:
        if event.type in KEYS:
            keys[TAKERS[event.type], event.data[KEYS[event.type]], _shard(event)].append(event)
    for (actor, key, _), events in keys.items():
        ended = [
            (order[case.endings[actor, event.id][0].id], event) for event in events if case.endings[actor, event.id]
        ]
        for (before, first), (after, second) in pairwise(ended):
            if after < before:
                yield (
                    f"{actor} ended {_name(second)} of key {key} before {_name(first)}: appended at {second.position} "
                    f"and {first.position}, ended at {case.events[after].position} and {case.events[before].position}"
                )


def _ledger(case: Case) -> Iterator[str]:
    yield from ledger.check(case.events)


def _states(case: Case) -> Iterator[str]:
    """The stored states are the folds of their events."""
    folded = ledger.fold(case.events)
    for actor, stored in case.evidence.states.items():
        for key in sorted(stored.keys() | folded[actor].keys()):
            if stored.get(key) != folded[actor].get(key):
                yield f"the state of {actor} {key} is {stored.get(key)}, its events make {folded[actor].get(key)}"


def _once(case: Case) -> Iterator[str]:
    """A topic is computed once; while a claim stands nobody else gets one."""
    written: dict[str, list[Event]] = defaultdict(list)
    claimed: dict[str, list[Event]] = defaultdict(list)
    for event in case.events:
        if event.type == "note.written" and event.subject.startswith("key/topic/"):
            written[event.subject.removeprefix("key/")].append(event)
        elif event.type in ("work.claimed", "work.failed"):
            claimed[event.data["key"]].append(event)
    for key, notes in written.items():
        if len(notes) > 1:
            yield f"{key} was written {len(notes)} times: {_at(notes)}"
        if key not in claimed:
            yield f"{key} was written without a claim: {_at(notes)}"
    # A handler whose time was over may have given up a claim that it had only asked for: nobody worked under it.
    cut_short = {event.cause for event in case.events if event.type == "delivery.retried"}
    notes_of = {key: notes[0].id for key, notes in written.items()}
    for key, events in claimed.items():
        for first, second in pairwise(events):
            apart_ms = _ms(second) - _ms(first)
            if first.cause in cut_short:
                continue
            if first.type == second.type == "work.claimed" and apart_ms < case.lease_s * 1000 - 50:
                yield f"{key} was claimed again {apart_ms} ms after a claim, within its lease: {_at([first, second])}"
    for event in case.events:
        if event.type == "chaos.done" and event.data["learned"] not in notes_of.values():
            yield f"{_name(event)} at {event.position} used the note {event.data['learned']}, which no topic has"


def _shard(event: Event) -> int:
    return 0 if event.position is None else event.position.shard


def _ms(event: Event) -> int:
    assert event.position is not None
    return event.position.ms


def _inboxes(case: Case) -> Iterator[str]:
    """Nothing is left, given to nobody, or waiting."""
    for inbox in case.evidence.inboxes:
        if inbox.length or inbox.pending or inbox.waiting:
            yield (
                f"the inbox {inbox.inbox} still holds {inbox.length} entries, {inbox.pending} pending, "
                f"{inbox.waiting} in the timers"
            )


def _consumers(case: Case) -> Iterator[str]:
    """Those of dead processes are deleted, and never with something pending."""
    owners = Counter(one.inbox for one in case.evidence.consumers if "/" in one.inbox)
    for one in case.evidence.consumers:
        if one.pending:
            yield f"{one.pending} entries of {one.inbox} are pending for {one.name}, and nobody works"
        elif "/" in one.inbox:  # a lane's owner may have had nothing to read for long; the next one deletes it
            if owners[one.inbox] > 2:
                yield f"{owners[one.inbox]} consumers of the lane {one.inbox} are there: {one.name}"
        elif one.idle_ms > GONE_LEASES * case.lease_s * 1000:
            yield f"the consumer {one.name} of {one.inbox} is there after {one.idle_ms / 1000:.1f} s of silence"


def _keys(case: Case) -> Iterator[str]:
    for key in case.evidence.strange_keys:
        yield f"a key of no known kind: {key}"
    for key, count in case.evidence.waiting.items():
        yield f"{count} still wait in {key}"
    for key in case.evidence.left:
        yield f"nothing is left to do, and there still is {key}"
    for key in case.evidence.claims:
        yield f"still claimed, and nobody computes: {key}"


def _verify(case: Case) -> Iterator[str]:
    """The log is whole, and what is read is what it makes of it."""
    yield from case.evidence.findings

"""The stage: on which one recorded delivery is done again, with nothing behind it but the recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from roost.streams import Delivery, Note, Token, decode, new_id

from ..searching.content import SEARCHED_BYTES
from ..searching.found import Hit
from ..searching.snippet import snippet_of
from ..state import KeyedState, adapter_of_state
from .answers import Answers, Asked
from .contents import Contents
from .errors import NotRecorded
from .recording import RecordedDelivery, Recording

if TYPE_CHECKING:
    from ..actor import Actor
    from ..scope import Scope

MAX_UNANSWERED = 20


class RecordedShard:
    """What a scope and the identities of notes need to know of a shard. Nothing can be asked of it."""

    def __init__(self, recording: Recording, number: int) -> None:
        self.home = self
        self.number = number
        self._recording = recording

    def note_id(self, ident: str | None = None) -> str:
        """As Shard's: with several shards, the end of a note's ID tells where it is."""
        ident = ident or new_id()
        record = self._recording.note_put(ident)
        if record is not None:
            return record.id
        return ident if self._recording.shards == 1 else f"{ident[:-2]}{self.number:02x}"


class Stage:
    """Of one attempt to do a delivery again."""

    scope: Scope
    """Of the call, as soon as there is one."""

    def __init__(
        self, recording: Recording, delivery: RecordedDelivery, contents: Contents, skip: dict[Asked, int]
    ) -> None:
        self.recording = recording
        self.delivery = delivery
        self.answers = Answers(recording, delivery, skip)
        self.shard: Any = RecordedShard(recording, delivery.position.shard)
        self.unanswered_for: list[str] = []
        """What the handler has asked for that it did not ask for then."""
        self.tombstones: list[str] = []
        """Notes that it was given then, and that were forgotten: what it would do with them, nobody can tell."""
        self._contents = contents

    def unanswered(self, what: str) -> NotRecorded:
        """To be raised where a handler asks for what was not recorded. It may catch it: it is known all the same."""
        if len(self.unanswered_for) < MAX_UNANSWERED:
            self.unanswered_for.append(what)
        return NotRecorded(f"{what} was not asked for when this was recorded: nobody can answer it now")

    def note_of(self, key: str) -> str | None:
        """The last note of that key that the recording has from before the end of the delivery."""
        found: str | None = None
        for note_id in self.recording.keys.get(key, ()):
            at = self.recording.notes[note_id].position
            if (at.ms, at.seq) < (self.delivery.position.ms, self.delivery.position.seq):
                found = note_id
        return found

    async def open_note(self, note_id: str) -> Note:
        """The note, whatever has become of it since. Raises NotRecorded when its content was forgotten."""
        known = self.recording.notes.get(note_id)
        if known is None:
            raise self.unanswered(f"note {note_id}, of which the log does not tell")
        raw = None if note_id in self.recording.forgotten else await self._contents.get(known.record.digest)
        if raw is None:
            if len(self.tombstones) < MAX_UNANSWERED:
                self.tombstones.append(note_id)
            raise NotRecorded(f"note {note_id} was forgotten: its content is not there any more")
        return Note(record=known.record, raw=raw, position=known.position, work=known.work)

    async def hit(self, note_id: str, score: float, text: str) -> Hit:
        """A note that a search had found. Raises NotRecorded when its content was forgotten."""
        note = await self.open_note(note_id)
        begins = None if note.record.form == "bytes" else note.raw[:SEARCHED_BYTES].decode(errors="ignore")
        return Hit(note.record, begins, score, snippet_of(begins or "", text))

    def as_delivered(self) -> Delivery:
        """The delivery, as a worker has it."""
        inbox, attempt = self.delivery.inbox, self.delivery.told.get("attempt") or self.delivery.told.get("attempts")
        return Delivery(self.delivery.event, Token(inbox, "replay", "0-0", 1), attempt if attempt else 1)

    async def load(self, actor: Actor, key: str) -> KeyedState:
        """The key's state as the handler was given it: the fold of its events up to there. Raises NotRecorded."""
        subject = f"actor/{actor.name}/{key}"
        history = self.recording.history(subject)
        if history is None:
            raise self.unanswered(f"the state of {key!r}, whose first events are not in the log")
        adapter, state = adapter_of_state(actor)
        version = 0
        for event in history[: self._version_before(subject, len(history))]:
            state = actor.evolve(state, decode(event))
            version = event.version or version
        return KeyedState(key, subject, version, state, adapter)

    def _version_before(self, subject: str, all_of_them: int) -> int:
        """How many events of the subject stand before what this delivery has written."""
        own = [event.version for event in self.delivery.attempt if event.subject == subject and event.version]
        if own and not self.delivery.is_parked:
            return min(own) - 1
        end = self.delivery.position
        history = self.recording.subjects.get(subject, [])[:all_of_them]
        at = [event.position for event in history if event.position is not None]
        return sum((each.ms, each.seq) < (end.ms, end.seq) for each in at)

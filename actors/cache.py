"""The process cache: notes by ID, until their deadline, and only while the server can take them back."""

from __future__ import annotations

from collections import OrderedDict

from roost.streams import Bell, Note

CACHE_BYTES = 64 * 1024 * 1024
MAX_CACHED_BYTES = 4 * 1024 * 1024
OVERHEAD_BYTES = 1024
"""What a note takes beside its content: without it, empty notes would never fill the cache."""
MAX_FORGOTTEN = 10_000


Asked = int | None
"""The moment before a read: what is taken back after it must not be added by its reply. None: pushes did not arrive
then, and something may have been taken back before they came again."""


class NoteCache:
    """The notes used last, up to 64 MiB. Empty while pushes of `forgotten` do not arrive, and after a new epoch."""

    def __init__(self, bell: Bell, *, size: int = CACHE_BYTES) -> None:
        self._bell = bell
        self._limit = size
        self._size = 0
        self._notes: OrderedDict[str, Note] = OrderedDict()
        self._tick = 0
        self._cleared = 0
        self._forgotten: OrderedDict[str, int] = OrderedDict()
        bell.on_news(self.hear)

    def __len__(self) -> int:
        return len(self._notes)

    def asked(self) -> Asked:
        """To be taken before a read, and given to `add`."""
        return self._tick if self._bell.is_up else None

    def get(self, note_id: str) -> Note | None:
        """The note if it is cached and live."""
        note = self._notes.get(note_id)
        if note is None:
            return None
        if not note.is_live:
            self._drop(note_id)
            return None
        self._notes.move_to_end(note_id)
        return note

    def add(self, note: Note, asked: Asked) -> None:
        """Keep a note that was read after `asked`. The reply to a read may come after the push that takes it back."""
        note_id, size = note.id, note.size
        if asked is None or size > MAX_CACHED_BYTES or note_id in self._notes or not self._bell.is_up:
            return
        if self._cleared > asked or self._forgotten.get(note_id, 0) > asked:
            return
        self._notes[note_id] = note
        self._size += size + OVERHEAD_BYTES
        while self._size > self._limit:
            _, old = self._notes.popitem(last=False)
            self._size -= old.size + OVERHEAD_BYTES

    def forget(self, note_id: str) -> None:
        """Not to be served again, nor added by a read that is under way."""
        self.hear(f"forgotten {note_id}")

    def clear(self) -> None:
        """Drop all, and what reads that are under way bring."""
        self.hear("epoch")

    def hear(self, news: str) -> None:
        """Take in what the bell tells."""
        what, _, note_id = news.partition(" ")
        self._tick += 1
        if what == "forgotten":
            self._drop(note_id)
            self._forgotten[note_id] = self._tick
            self._forgotten.move_to_end(note_id)
            if len(self._forgotten) > MAX_FORGOTTEN:
                _, self._cleared = self._forgotten.popitem(last=False)
        else:  # 'epoch …' or 'down': what we hold may no longer be so
            self._notes.clear()
            self._size = 0
            self._cleared = self._tick

    def _drop(self, note_id: str) -> None:
        note = self._notes.pop(note_id, None)
        if note is not None:
            self._size -= note.size + OVERHEAD_BYTES

"""The process cache: notes by ID, until their deadline, and only while the server can take them back."""

from __future__ import annotations

from collections import OrderedDict

from roost.streams import Bell, Note

CACHE_BYTES = 64 * 1024 * 1024
MAX_CACHED_BYTES = 4 * 1024 * 1024
MAX_FORGOTTEN = 10_000


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
        bell.on_news(self._hear)

    def asked(self) -> int:
        """To be taken before a read, and given to `add`: what was taken back meanwhile is not added."""
        return self._tick

    def get(self, note_id: str) -> Note | None:
        """The note if it is cached and live."""
        note = self._notes.get(note_id)
        if note is None:
            return None
        if not note.is_live:
            self.drop(note_id)
            return None
        self._notes.move_to_end(note_id)
        return note

    def add(self, note: Note, asked: int) -> None:
        """Keep a note that was read after `asked`. The reply to a read may come after the push that takes it back."""
        if not self._bell.is_up or note.size > MAX_CACHED_BYTES or note.id in self._notes:
            return
        if self._cleared > asked or self._forgotten.get(note.id, 0) > asked:
            return
        self._notes[note.id] = note
        self._size += note.size
        while self._size > self._limit:
            _, old = self._notes.popitem(last=False)
            self._size -= old.size

    def drop(self, note_id: str) -> None:
        note = self._notes.pop(note_id, None)
        if note is not None:
            self._size -= note.size

    def clear(self) -> None:
        self._notes.clear()
        self._size = 0

    def _hear(self, news: str) -> None:
        what, _, note_id = news.partition(" ")
        self._tick += 1
        if what == "forgotten":
            self.drop(note_id)
            self._forgotten[note_id] = self._tick
            if len(self._forgotten) > MAX_FORGOTTEN:
                _, self._cleared = self._forgotten.popitem(last=False)
        else:  # 'epoch …' or 'down': what we hold may no longer be so
            self.clear()
            self._cleared = self._tick

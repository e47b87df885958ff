"""Which commands there are, where they are, and what help says of them before they are imported."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from keyword import iskeyword


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: `<name>` in `roost.cli.<name>_command`, which is there as soon as that module is.

    Its function ends in an underscore where the name is a word of Python: `import_` in `import_command`.
    """

    name: str
    help: str

    @property
    def module(self) -> str:
        return f"{__package__}.{self.name}_command"

    @property
    def attribute(self) -> str:
        return f"{self.name}_" if iskeyword(self.name) else self.name

    @property
    def exists(self) -> bool:
        return find_spec(self.module) is not None


SECTIONS: dict[str, tuple[Entry, ...]] = {
    "Start": (
        Entry("run", "Let agents read documents and answer questions."),
        Entry("demo", "See what a shared memory saves; no key needed."),
        Entry("dash", "Watch the flock in the browser."),
        Entry("up", "Start Roost's own server."),
        Entry("down", "Stop Roost's own server."),
        Entry("status", "Tell how the server and the flocks on it are."),
    ),
    "Look": (
        Entry("log", "Show what happened, event by event."),
        Entry("notes", "List the notes that live now."),
        Entry("note", "Show one note, and what came of it."),
        Entry("report", "Sum up a run: work, reuse, savings."),
        Entry("trace", "Show how agents built on each other's notes."),
        Entry("replay", "Go through a past run again, from its log."),
        Entry("diff", "Compare two runs."),
    ),
    "Operate": (
        Entry("work", "Let the actors of a module work."),
        Entry("dead", "Look after deliveries that were given up."),
        Entry("limits", "Limit what a model is asked, and what agents keep."),
        Entry("fork", "Go on from an earlier point of a run, anew."),
        Entry("resume", "Go on with a run that was interrupted."),
        Entry("views", "See how far projections have come, drop old ones."),
        Entry("rebuild", "Fold a projection from the log anew."),
        Entry("verify", "Check the log, and projections against it."),
        Entry("seal", "Sign the log, so that tampering is found."),
        Entry("archive", "Move old events out of the server into files."),
        Entry("acl", "Make users that may do in one flock what their role takes."),
        Entry("forget", "Remove a note's content for good."),
        Entry("export", "Write a run into one file."),
        Entry("import", "Take a run from a file into a flock of its own."),
        Entry("bridge", "Mirror every event into another system."),
        Entry("restore", "Read a log back from another system."),
        Entry("mcp", "Offer the memory to agents that speak MCP."),
        Entry("bench", "Measure this machine and server."),
    ),
}

TABLE: dict[str, Entry] = {entry.name: entry for entries in SECTIONS.values() for entry in entries}

"""Tokens: who may look at the page, and who may change things from it."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from typing import Literal

from roost.streams import SettingsError

Right = Literal["none", "read", "write"]
LEAST = 16
"""Characters of a token that somebody has chosen: shorter ones can be guessed."""
BYTES = 24
"""Of randomness in a token that is made here."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """`read` is what one needs to look, None: nothing. `write` is what one needs to change things, None: nobody may."""

    read: str | None = field(repr=False)
    write: str | None = field(repr=False)

    @classmethod
    def make(cls, *, shared: bool, writes: bool, read: str | None = None, write: str | None = None) -> Tokens:
        """Those of a page; `shared`: with other machines. What is not given is made. Raises SettingsError."""
        for name, token in (("ROOST_DASH_TOKEN", read), ("ROOST_DASH_WRITE_TOKEN", write)):
            if token is not None and (len(token) < LEAST or not token.isascii() or not token.isprintable()):
                raise SettingsError(f"{name} is to have {LEAST} printable ASCII characters at least, and no others")
        if read is not None and read == write:
            raise SettingsError("ROOST_DASH_TOKEN and ROOST_DASH_WRITE_TOKEN are the same: whoever looks could write")
        return cls(
            read=read or (secrets.token_urlsafe(BYTES) if shared else None),
            write=(write or secrets.token_urlsafe(BYTES)) if writes else None,
        )

    def right_of(self, *shown: str | None) -> Right:
        """What who has shown these may do. It takes as long for a token that is nearly right as for any other."""
        if any(_equal(token, self.write) for token in shown):
            return "write"
        return "read" if self.read is None or any(_equal(token, self.read) for token in shown) else "none"

    def knows(self, shown: str) -> bool:
        """Whether it is one of them."""
        return _equal(shown, self.read) or _equal(shown, self.write)


def _equal(shown: str | None, token: str | None) -> bool:
    return shown is not None and token is not None and hmac.compare_digest(shown.encode(), token.encode())

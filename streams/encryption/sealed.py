"""Sealed content: what is stored in place of content that is encrypted. It tells by itself which keys open it.

    b"\\x93roost\\x01"  7 bytes
    vault             8 bytes
    count             2 bytes, big endian: by how many keys together it is sealed
    for each          12 bytes of the name of whom it is about, 8 of the key's ID
    nonce             12 bytes
    the rest          AES-256-GCM of the content, its tag at the end; all before it is authenticated

The same content under the same keys is the same bytes, so that a flock keeps it once, and a replay can compare; under
other keys it has nothing in common with them, its digest included.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import SettingsError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"\x93roost\x01"
NAME_BYTES, VAULT_BYTES, NONCE_BYTES, TAG_BYTES = 12, 8, 12, 16
ENTRY_BYTES = NAME_BYTES + 8
MAX_ABOUT = 256
"""Whom one content may be about at most."""


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """One key of whom a content is about, as records name it: `<name>.<key>` in hexadecimal digits."""

    name: bytes
    key: bytes

    @classmethod
    def parse(cls, text: str) -> Ref:
        """Raises ValueError."""
        name, dot, key = text.partition(".")
        ref = cls(bytes.fromhex(name), bytes.fromhex(key))
        if not dot or len(ref.name) != NAME_BYTES or len(ref.key) != ENTRY_BYTES - NAME_BYTES:
            raise ValueError(f"{text[:60]!r} names no key")
        return ref

    def __str__(self) -> str:
        return f"{self.name.hex()}.{self.key.hex()}"


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before the encrypted bytes. `size` is how many bytes it has, the nonce included."""

    vault: str
    refs: tuple[Ref, ...]
    nonce: bytes
    size: int

    @classmethod
    def begins(cls, stored: bytes) -> bool:
        """Whether that is the beginning of sealed content."""
        return stored.startswith(MAGIC)

    @classmethod
    def of(cls, stored: bytes) -> Head | None:
        """None for what is not sealed."""
        at = len(MAGIC) + VAULT_BYTES + 2
        if not stored.startswith(MAGIC) or len(stored) < at:
            return None
        count = int.from_bytes(stored[at - 2 : at], "big")
        size = at + count * ENTRY_BYTES + NONCE_BYTES
        if not 1 <= count <= MAX_ABOUT or len(stored) < size + TAG_BYTES:
            return None
        entries = [stored[first : first + ENTRY_BYTES] for first in range(at, size - NONCE_BYTES, ENTRY_BYTES)]
        refs = tuple(Ref(entry[:NAME_BYTES], entry[NAME_BYTES:]) for entry in entries)
        return cls(stored[len(MAGIC) : at - 2].hex(), refs, stored[size - NONCE_BYTES : size], size)


def seal(raw: bytes, vault: str, keys: Sequence[tuple[Ref, bytes]]) -> bytes:
    """Content that is opened only by all of these keys together, given in the order of their refs."""
    entries = b"".join(ref.name + ref.key for ref, _ in keys)
    head = MAGIC + bytes.fromhex(vault) + len(keys).to_bytes(2, "big") + entries
    key, nonce_key = _keys_of([secret for _, secret in keys])
    # A nonce made of the content: it repeats only where all else does, too.
    head += hmac.digest(nonce_key, raw, "sha256")[:NONCE_BYTES]
    return head + _cipher(key).encrypt(head[-NONCE_BYTES:], raw, head)


def unseal(stored: bytes, head: Head, secrets: Sequence[bytes]) -> bytes:
    """Raises ValueError when the keys do not fit, or the bytes were changed."""
    key, _ = _keys_of(secrets)
    cipher, view = _cipher(key), memoryview(stored)
    from cryptography.exceptions import InvalidTag  # it is there if the cipher is

    try:
        return cipher.decrypt(head.nonce, view[head.size :], view[: head.size])
    except InvalidTag:
        raise ValueError("the content was changed, or these are not its keys") from None


def check_cipher() -> None:
    """Raises SettingsError where what encrypts is not installed."""
    _cipher(bytes(32))


def _keys_of(secrets: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The key of a content and that of its nonce. Each secret has 32 bytes, so what is joined is never ambiguous."""
    together = hmac.digest(b"roost content key 1", b"".join(secrets), "sha256")
    return hmac.digest(together, b"encrypt", "sha256"), hmac.digest(together, b"nonce", "sha256")


def _cipher(key: bytes) -> AESGCM:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise SettingsError("encrypted contents need the extra: pip install 'roost[encryption]'") from None
    return AESGCM(key)

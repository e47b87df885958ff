"""Keys of seals: Ed25519, whose public half anybody may have, or HMAC-SHA256, which needs nothing installed."""

from __future__ import annotations

import hmac
import os
import stat
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from .faults import UnfitKey
from .seal import Seal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

Algorithm = Literal["ed25519", "hmac-sha256"]
ALGORITHMS: tuple[Algorithm, ...] = ("ed25519", "hmac-sha256")
_HMAC = b"roost-hmac-sha256 "
NEEDS = "Ed25519 needs the extra: pip install 'roost[seals]'; or choose HMAC: roost seal --algorithm hmac-sha256"


class Checks(Protocol):
    """Knows a key's signatures."""

    id: str

    def fits(self, seal: Seal) -> bool: ...


class Signs(Checks, Protocol):
    """Makes them, too."""

    def sign(self, seal: Seal) -> Seal: ...


class _Ed25519Public:
    def __init__(self, public: Ed25519PublicKey) -> None:
        self._public = public
        self.id = sha256(public.public_bytes_raw()).hexdigest()[:16]

    def fits(self, seal: Seal) -> bool:
        from cryptography.exceptions import InvalidSignature

        if seal.algorithm != "ed25519":
            return False
        try:
            signature = bytes.fromhex(seal.signature)
            self._public.verify(signature, seal.signed)
        except (InvalidSignature, ValueError):
            return False
        return signature.hex() == seal.signature  # written in one way only


class _Ed25519(_Ed25519Public):
    def __init__(self, private: Ed25519PrivateKey) -> None:
        super().__init__(private.public_key())
        self._private = private

    def sign(self, seal: Seal) -> Seal:
        unsigned = replace(seal, algorithm="ed25519", key=self.id, signature="")
        return replace(unsigned, signature=self._private.sign(unsigned.signed).hex())


class _Hmac:
    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.id = sha256(b"roost seal key\n" + secret).hexdigest()[:16]

    def sign(self, seal: Seal) -> Seal:
        unsigned = replace(seal, algorithm="hmac-sha256", key=self.id, signature="")
        return replace(unsigned, signature=self._of(unsigned))

    def fits(self, seal: Seal) -> bool:
        return seal.algorithm == "hmac-sha256" and hmac.compare_digest(self._of(seal), seal.signature)

    def _of(self, seal: Seal) -> str:
        return hmac.digest(self._secret, seal.signed, "sha256").hex()


class Trusted:
    """The keys whose seals count."""

    def __init__(self, keys: Iterable[Checks]) -> None:
        self._keys = {key.id: key for key in keys}

    def knows(self, seal: Seal) -> bool:
        """Whether it names one of them."""
        return seal.key in self._keys

    def fault(self, seal: Seal) -> str | None:
        """What is wrong with a seal's signature; None: nothing."""
        key = self._keys.get(seal.key)
        if key is None:
            return f"it is signed by another key ({seal.key[:16]!r}), which is not trusted"
        return None if key.fits(seal) else "its signature does not fit: it was changed, or signed by another key"


def make_key(path: Path, algorithm: Algorithm) -> None:
    """A new key, in a file that only its owner may read, unless there is one; the public half of an Ed25519 one beside
    it in `<name>.pub`. Raises UnfitKey."""
    if algorithm == "ed25519":
        private, public = _new_pair()
    else:
        private, public = _HMAC + os.urandom(32).hex().encode() + b"\n", None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise UnfitKey(f"{path}: no key can be written there ({(error.strerror or str(error)).lower()})") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(private)
        file.flush()
        os.fsync(descriptor)
    if public is not None:
        public_path(path).write_bytes(public)


def public_path(path: Path) -> Path:
    """Where the public half of a key stands."""
    return path.with_name(f"{path.name}.pub")


def read_key(path: Path) -> Signs:
    """Raises UnfitKey, also for a file that others may read."""
    content = _read(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UnfitKey(f"{path} can be read by other users: make another key, or run: chmod 600 {path}")
    if content.startswith(_HMAC):
        return _hmac_of(path, content)
    if not content.startswith(b"-----BEGIN PRIVATE KEY"):
        raise UnfitKey(f"{path} is no key of `roost seal`: it is to hold an Ed25519 private key as PEM (PKCS 8)")
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise UnfitKey(NEEDS) from None
    try:
        private = load_pem_private_key(content, password=None)
    except (ValueError, TypeError):
        raise UnfitKey(f"{path} holds no private key that can be read") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise UnfitKey(f"{path} holds a key of another kind: seals are signed by Ed25519")
    return _Ed25519(private)


def read_trusted(path: Path) -> Checks:
    """A public key, or the secret of HMAC. Raises UnfitKey."""
    content = _read(path)
    if not content.startswith(b"-----BEGIN PUBLIC KEY"):
        return read_key(path)
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise UnfitKey("Ed25519 needs the extra: pip install 'roost[seals]'") from None
    try:
        public = load_pem_public_key(content)
    except ValueError:
        raise UnfitKey(f"{path} holds no public key that can be read") from None
    if not isinstance(public, Ed25519PublicKey):
        raise UnfitKey(f"{path} holds a key of another kind: seals are signed by Ed25519")
    return _Ed25519Public(public)


def _hmac_of(path: Path, content: bytes) -> _Hmac:
    try:
        secret = bytes.fromhex(content[len(_HMAC) :].decode().strip())
    except ValueError:
        secret = b""
    if len(secret) < 32:
        raise UnfitKey(f"{path} holds no key of HMAC: at least 64 hexadecimal digits")
    return _Hmac(secret)


def _new_pair() -> tuple[bytes, bytes]:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
    except ImportError:
        raise UnfitKey(NEEDS) from None
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), public


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnfitKey(f"{path}: the key cannot be read ({(error.strerror or str(error)).lower()})") from None

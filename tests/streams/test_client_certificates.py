"""TLS on both sides: a server that asks for a certificate, and what is wrong with the one that it is shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from roost_tests import strange_servers as strange
from roost_tests.bare_server import BareServer

from roost.actors import Flock
from roost.streams import ServerUnavailable, connect

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """Gives out certificates, in files of a directory."""

    place: Path
    key: ec.EllipticCurvePrivateKey
    name: x509.Name

    @classmethod
    def make(cls, place: Path, name: str) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        made = cls(place, key, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        made.write(name, key, made.name, datetime.now(UTC) + DAY, is_authority=True)
        return made

    def give(self, name: str, *, until: datetime | None = None) -> str:
        """A certificate of a client, as parameters of an address."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        file = self.write(name, key, subject, until or datetime.now(UTC) + DAY)
        return f"ssl_certfile={file}&ssl_keyfile={file.with_suffix('.key')}"

    def write(
        self, name: str, key: ec.EllipticCurvePrivateKey, subject: x509.Name, until: datetime, *,
        is_authority: bool = False,
    ) -> Path:  # fmt: skip
        made = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(until - 10 * DAY).not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )  # fmt: skip
        file = self.place / f"{name}.pem"
        file.write_bytes(made.public_bytes(Encoding.PEM))
        file.with_suffix(".key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return file


async def test_who_shows_a_good_certificate_is_let_in_and_all_others_are_told_why_not(
    bare_server: Callable[..., Awaitable[BareServer]], tmp_path: Path
) -> None:
    ours, theirs = Authority.make(tmp_path, "ours"), Authority.make(tmp_path, "theirs")
    server = await bare_server()
    async with strange.listen(strange.forward_to(server.port), tls=True, authority=tmp_path / "ours.pem") as port:
        url = f"rediss://:@127.0.0.1:{port}?ssl_ca_certs={strange.CERTIFICATE}"
        async with Flock.open("owls", f"{url}&{ours.give('bot')}") as flock:
            assert (await flock.memory.get((await flock.memory.put("hello")).id)).text == "hello"
        old, stranger = ours.give("old", until=datetime.now(UTC) - DAY), theirs.give("stranger")
        for shown in ("", f"&{old}", f"&{stranger}"):
            with pytest.raises(ServerUnavailable, match="asks for a certificate, name one that it trusts") as caught:
                await connect(url + shown)
            assert "\n" not in str(caught.value)

"""How to reach a Kafka cluster: its addresses, and what it wants to see before it answers."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import SettingsError
from .hearsay import listen

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
CLIENT = "roost"
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):(\d{1,5})")


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """`bootstrap` has one or more `host:port`, with commas between them. Nothing secret is in its repr."""

    bootstrap: str
    protocol: str = "PLAINTEXT"
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def read(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        bootstrap: str | None = None,
        security: str | None = None,
        ca: str | None = None,
        cert: str | None = None,
        key: str | None = None,
        sasl: str | None = None,
        username: str | None = None,
        password_file: str | None = None,
    ) -> KafkaAccess:
        """From arguments, or else from KAFKA_BOOTSTRAP, KAFKA_SECURITY_PROTOCOL, KAFKA_SSL_CAFILE, KAFKA_SSL_CERTFILE,
        KAFKA_SSL_KEYFILE, KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD; an empty one is none.

        Without a protocol it is the safest that fits the rest. Raises SettingsError.
        """
        environ = os.environ if environ is None else environ

        def known(name: str, given: str | None) -> str | None:
            return given or environ.get(name, "").strip() or None

        mechanism = known("KAFKA_SASL_MECHANISM", sasl)
        access = cls(
            bootstrap=_check_bootstrap(known("KAFKA_BOOTSTRAP", bootstrap)),
            ca=known("KAFKA_SSL_CAFILE", ca),
            cert=known("KAFKA_SSL_CERTFILE", cert),
            key=known("KAFKA_SSL_KEYFILE", key),
            mechanism=None if mechanism is None else mechanism.upper(),
            username=known("KAFKA_SASL_USERNAME", username),
            password=_read_secret(password_file) if password_file else environ.get("KAFKA_SASL_PASSWORD") or None,
        )
        protocol = known("KAFKA_SECURITY_PROTOCOL", security)
        if protocol is None:
            is_tls = bool(access.ca or access.cert)
            protocol = ("SASL_SSL" if access.mechanism else "SSL") if is_tls or access.mechanism else "PLAINTEXT"
        return access._with(protocol.upper())

    def _with(self, protocol: str) -> KafkaAccess:
        """The same by that protocol, if all that it needs is there."""
        if protocol not in PROTOCOLS:
            raise SettingsError(f"{protocol!r} is no protocol of Kafka's: choose {', '.join(PROTOCOLS)}")
        has_sasl = protocol.startswith("SASL")
        if has_sasl and self.mechanism not in MECHANISMS:
            raise SettingsError(
                f"SASL needs one of {', '.join(MECHANISMS)} (--sasl, KAFKA_SASL_MECHANISM), not {self.mechanism!r}"
            )
        if has_sasl and not (self.username and self.password):
            raise SettingsError(
                "SASL needs a user and a password: --username or KAFKA_SASL_USERNAME, and --password-file or "
                "KAFKA_SASL_PASSWORD"
            )
        if self.mechanism and not has_sasl:
            raise SettingsError(f"a SASL mechanism is named, and the protocol {protocol} has none: take SASL_SSL")
        for name in (self.ca, self.cert, self.key):
            if name is not None and not Path(name).is_file():
                raise SettingsError(f"{name} is not a file; give the path of a PEM file")
        if self.key and not self.cert:
            raise SettingsError("a key needs its certificate: --cert or KAFKA_SSL_CERTFILE")
        return KafkaAccess(
            self.bootstrap, protocol, self.ca, self.cert, self.key, self.mechanism, self.username, self.password
        )

    @property
    def is_safe(self) -> bool:
        """Whether nobody on the way can read along."""
        return self.protocol.endswith("SSL")

    def client_options(self) -> dict[str, Any]:
        """What every client of aiokafka is given. Raises SettingsError."""
        listen()
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap.split(","),
            "client_id": CLIENT,
            "security_protocol": self.protocol,
        }
        if self.is_safe:
            from aiokafka.helpers import create_ssl_context

            try:
                options["ssl_context"] = create_ssl_context(cafile=self.ca, certfile=self.cert, keyfile=self.key)
            except (OSError, ValueError) as error:
                raise SettingsError(f"the certificates for Kafka cannot be used: {error}") from error
        if self.mechanism:
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        return options


def _check_bootstrap(text: str | None) -> str:
    if text is None:
        raise SettingsError("say where Kafka is: --bootstrap HOST:PORT, or KAFKA_BOOTSTRAP")
    addresses = [address.strip() for address in text.split(",") if address.strip()]
    for address in addresses:
        match = _ADDRESS.fullmatch(address)
        if match is None or not 0 < int(match[2]) < 65_536:
            raise SettingsError(f"{address!r} is no address of a broker: write HOST:PORT, several with commas between")
    if not addresses:
        raise SettingsError("say where Kafka is: --bootstrap HOST:PORT, or KAFKA_BOOTSTRAP")
    return ",".join(addresses)


def _read_secret(path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the password cannot be read from {path}: {error}") from error
    if not text or len(text) > 10_000:
        raise SettingsError(f"{path} holds no password: one line is meant")
    return text

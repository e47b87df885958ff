"""The options of commands that reach a Kafka cluster."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from roost.streams.kafka.access import KafkaAccess

NAMES = ("bootstrap", "security", "ca", "cert", "key", "sasl", "username", "password_file")


def kafka_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the options, which its function gets as one `access: KafkaAccess`, checked."""

    @click.option("--bootstrap", metavar="HOST:PORT", help="Where Kafka is, instead of KAFKA_BOOTSTRAP.")
    @click.option("--security", metavar="PROTOCOL",
                  help="PLAINTEXT, SSL, SASL_SSL or SASL_PLAINTEXT [default: what the rest needs].")  # fmt: skip
    @click.option("--ca", metavar="FILE", help="The authority of the brokers' certificates (PEM).")
    @click.option("--cert", metavar="FILE", help="This client's certificate (PEM), where brokers want one.")
    @click.option("--key", metavar="FILE", help="The key of that certificate.")
    @click.option("--sasl", metavar="MECHANISM", help="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.")
    @click.option("--username", metavar="NAME", help="The user, instead of KAFKA_SASL_USERNAME.")
    @click.option("--password-file", metavar="FILE",
                  help="A file with the password, instead of KAFKA_SASL_PASSWORD.")  # fmt: skip
    @functools.wraps(function)
    def call(**given: Any) -> Any:
        options = {name: given.pop(name) for name in NAMES}
        return function(access=_access(options), **given)

    return call


def _access(options: dict[str, Any]) -> KafkaAccess:
    from roost.streams import SettingsError
    from roost.streams.kafka.access import KafkaAccess

    from .failure import remember_secret

    if find_spec("aiokafka") is None:
        raise SettingsError('Kafka needs its client: pip install ".[kafka]" where Roost was installed from')
    access = KafkaAccess.read(**options)
    remember_secret(access.password)
    return access

"""How to reach a Kafka cluster: what was said, what stands in the environment, and what does not fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from roost.streams import SettingsError
from roost.streams.kafka.access import KafkaAccess
from roost.streams.kafka.topics import Layout, Topics


def test_an_argument_wins_over_the_environment_and_an_empty_variable_is_none() -> None:
    environ = {"KAFKA_BOOTSTRAP": "a:1", "KAFKA_SASL_MECHANISM": " ", "KAFKA_SECURITY_PROTOCOL": ""}
    assert KafkaAccess.read(environ) == KafkaAccess("a:1")
    assert KafkaAccess.read(environ, bootstrap="b:2, c:3").bootstrap == "b:2,c:3"
    assert KafkaAccess.read(environ).client_options() == {
        "bootstrap_servers": ["a:1"], "client_id": "roost", "security_protocol": "PLAINTEXT",
    }  # fmt: skip


def test_the_protocol_is_the_safest_that_fits_the_rest(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    secret = {"KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "p"}
    assert KafkaAccess.read({}, bootstrap="a:1", ca=str(ca)).protocol == "SSL"
    assert KafkaAccess.read(secret, bootstrap="a:1", sasl="plain").protocol == "SASL_SSL"
    assert KafkaAccess.read(secret, bootstrap="a:1", sasl="PLAIN", security="sasl_plaintext").is_safe is False


def test_a_password_comes_from_a_file_and_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("open sesame\n", "utf-8")
    access = KafkaAccess.read({}, bootstrap="a:1", sasl="PLAIN", username="u", password_file=str(file))
    assert access.client_options()["sasl_plain_password"] == "open sesame"
    assert "sesame" not in repr(access) + str(access)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "say where Kafka is"),
        ({"bootstrap": ","}, "say where Kafka is"),
        ({"bootstrap": "nowhere"}, "no address of a broker"),
        ({"bootstrap": "a:0"}, "no address of a broker"),
        ({"bootstrap": "a:1,b:99999"}, "no address of a broker"),
        ({"bootstrap": "kafka://a:1"}, "no address of a broker"),
        ({"bootstrap": "a:1", "security": "TLS"}, "is no protocol of Kafka's"),
        ({"bootstrap": "a:1", "sasl": "MAGIC"}, "SASL needs one of"),
        ({"bootstrap": "a:1", "sasl": "PLAIN", "username": "u"}, "SASL needs a user and a password"),
        ({"bootstrap": "a:1", "sasl": "PLAIN", "security": "SSL"}, "the protocol SSL has none"),
        ({"bootstrap": "a:1", "ca": "/no/such/file.pem"}, "is not a file"),
        ({"bootstrap": "a:1", "password_file": "/no/such/file"}, "cannot be read"),
    ],
)
def test_what_does_not_fit_together_is_told_before_anything_is_reached(given: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        KafkaAccess.read({}, **given)


@pytest.mark.parametrize("text", ["", "with space", "-dash", "é", "a" * 101, "a/b"])
def test_a_prefix_is_the_beginning_of_a_topics_name(text: str) -> None:
    with pytest.raises(SettingsError, match="cannot begin the name of a topic"):
        Topics(text, "tea")


def test_topics_of_two_flocks_or_prefixes_never_meet() -> None:
    names = [
        name
        for prefix in ("roost", "other")
        for flock in ("a", "b", "a.contents")
        for name in Topics(prefix, flock).all
    ]
    assert len(names) == len(set(names))
    with pytest.raises(SettingsError, match="1 to 1,000 partitions"):
        Layout(partitions=0)

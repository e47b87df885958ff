"""Errors of Kafka and of the bridge, as lines that say what is wrong and what to do."""

from __future__ import annotations

from ..errors import RoostError, SettingsError
from .hearsay import hearsay

PERMANENT = {
    "SaslAuthenticationFailed": "refuses the user or the password",
    "AuthenticationFailedError": "refuses the user or the password",
    "UnsupportedSaslMechanismError": "does not know that SASL mechanism",
    "UnsupportedSaslMechanism": "does not know that SASL mechanism",
    "TopicAuthorizationFailedError": "does not let this user work with the topic",
    "TopicAuthorizationFailed": "does not let this user work with the topic",
    "ClusterAuthorizationFailedError": "does not let this user do that",
    "TransactionalIdAuthorizationFailed": "does not let this user write with transactions",
    "GroupAuthorizationFailedError": "does not let this user read",
    "PolicyViolationError": "has a policy against it",
    "InvalidReplicationFactorError": "has too few brokers for that replication",
    "InvalidReplicationFactor": "has too few brokers for that replication",
}
"""By the names of aiokafka's classes: what waiting does not mend."""


class KafkaUnavailable(RoostError):
    """Kafka cannot be used."""


class KafkaRefused(RoostError):
    """Kafka does not let us do that, and waiting will not change it."""


class UnfitTopic(SettingsError):
    """A topic that is there already has settings with which events would be lost."""


class BridgeBusy(RoostError):
    """Another process mirrors this flock."""


class BridgeFenced(RoostError):
    """Another process has taken this mirror over; this one ends, and has written nothing since."""


class Diverged(RoostError):
    """Kafka and the log have different events behind a place that they have in common."""


class MirrorGap(RoostError):
    """Events between what Kafka has and what the log still has are gone."""


class MissingRecords(RoostError):
    """Records that were to be taken in are not in Kafka any more."""


def explain(error: BaseException, where: str) -> RoostError:
    """An error of aiokafka, or of the network, as one of ours; `where` names the brokers."""
    for cause in _causes(error):
        name = type(cause).__name__
        if name in PERMANENT:
            return KafkaRefused(f"Kafka at {where} {PERMANENT[name]} ({_short(cause)})")
    said = hearsay.line
    for name, what in PERMANENT.items():
        if name in said:
            return KafkaRefused(f"Kafka at {where} {what}")
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return KafkaRefused(
            f"Kafka at {where} shows no certificate that can be trusted: name its authority by --ca or KAFKA_SSL_CAFILE"
        )
    return KafkaUnavailable(f"Kafka at {where} cannot be used: {_reason(error)}; is it running there?")


def _reason(error: BaseException) -> str:
    if "bootstrap" not in str(error):
        return _short(error)
    return "nothing answers as Kafka does" if not hearsay.line else hearsay.line.partition(": ")[2] or hearsay.line


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())[:200].rstrip(".")
    return text if text and text != type(error).__name__ else type(error).__name__


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found and len(found) < 10:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found

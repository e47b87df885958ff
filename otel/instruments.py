"""The metrics: names, kinds and units. Prometheus makes `roost_log_events_total` of `roost.log.events`, and so on."""

from __future__ import annotations

from typing import Literal, NamedTuple

from . import names

Kind = Literal["counter", "histogram", "gauge"]


class Metric(NamedTuple):
    """What is measured, in which unit, by which attributes; `bounds` are those of a histogram's buckets."""

    name: str
    kind: Kind
    unit: str
    about: str
    attributes: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
MODEL_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0)

METRICS = (
    Metric(names.APPENDED, "counter", "{event}", "Events that this process has written.", (names.FLOCK,)),
    Metric(names.BATCH, "histogram", "{event}", "Events in one call that writes.", (names.FLOCK,), SIZES),
    Metric(names.COMMIT, "histogram", "s", "What a call that writes took.", (names.FLOCK,), SECONDS),
    Metric(
        names.DELIVERIES, "counter", "{delivery}", "Attempts at deliveries, by how they ended.",
        (names.FLOCK, names.ACTOR, names.OUTCOME),
    ),
    Metric(
        names.HANDLING, "histogram", "s", "What handlers that did well took.", (names.FLOCK, names.ACTOR), SECONDS
    ),
    Metric(
        names.CLAIMS, "counter", "{claim}", "Work that was asked for, by how it was had.",
        (names.FLOCK, names.CLAIM_ENDING),
    ),
    Metric(
        names.MODEL_CALLS, "histogram", "s", "What calls of models took.",
        (names.OPERATION, names.PROVIDER, names.MODEL, names.ERROR), MODEL_SECONDS,
    ),
    Metric(
        names.MODEL_TOKENS, "histogram", "{token}", "Tokens of calls of models.",
        (names.OPERATION, names.PROVIDER, names.MODEL, names.TOKEN_TYPE), TOKENS,
    ),
    Metric(names.MODEL_COST, "counter", "USD", "Cost of calls of models, where it is known.", (names.MODEL,)),
    Metric(names.SAVED_TOKENS, "counter", "{token}", "Tokens that reuse has spared.", (names.FLOCK,)),
    Metric(names.SAVED_COST, "counter", "USD", "Cost that reuse has spared, where it is known.", (names.FLOCK,)),
    Metric(names.SAVED_SECONDS, "counter", "s", "Seconds of computing that reuse has spared.", (names.FLOCK,)),
    Metric(
        names.LAG, "gauge", "{event}", "Events that a projection has still to fold.", (names.FLOCK, names.PROJECTION)
    ),
    Metric(names.INBOX_LENGTH, "gauge", "{event}", "Events in an inbox.", (names.FLOCK, names.ACTOR)),
    Metric(names.INBOX_AGE, "gauge", "s", "The age of the oldest event in an inbox.", (names.FLOCK, names.ACTOR)),
    Metric(names.PARKED, "gauge", "{delivery}", "Deliveries that wait for a person.", (names.FLOCK, names.ACTOR)),
    Metric(names.MIRRORED, "counter", "{event}", "Events that a bridge has mirrored.", (names.FLOCK, names.BRIDGE)),
    Metric(
        names.MIRRORED_BYTES, "counter", "By", "What a bridge has sent, contents with it, before it is compressed.",
        (names.FLOCK, names.BRIDGE),
    ),
    Metric(
        names.BRIDGE_COMMIT, "histogram", "s", "What a bridge's batches took, from the first event to the commit.",
        (names.FLOCK, names.BRIDGE), SECONDS,
    ),
    Metric(
        names.BRIDGE_ERRORS, "counter", "{error}", "What a bridge, or who takes a topic in, has met.",
        (names.FLOCK, names.BRIDGE, names.ERROR),
    ),
    Metric(
        names.BRIDGE_LAG, "gauge", "{event}", "Events that a bridge has still to mirror.", (names.FLOCK, names.BRIDGE)
    ),
    Metric(
        names.INGESTED, "counter", "{record}", "Records of topics that were taken in, and those that were refused.",
        (names.FLOCK, names.DESTINATION, names.TAKEN),
    ),
)  # fmt: skip

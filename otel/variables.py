"""The standard OTEL_* variables, as far as Roost reads them itself."""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit

OTLP_HTTP_PORT = ":4318"
DEFAULT_ENDPOINT = "http://localhost:4317"
TIMEOUT_S = 5
"""Of an export: who works with a collector that is gone should hear of it soon."""
INSTALL = 'pip install "roost[otel]"'


def wanted(signal: str) -> tuple[str, ...]:
    """The exporters that the variables name for `traces`, `metrics` or `logs`; none when nothing is asked for."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    named = os.environ.get(f"OTEL_{signal.upper()}_EXPORTER")
    if named is None or not named.strip():
        return ("otlp",) if signal != "logs" and _has_endpoint(signal) else ()
    return tuple(name for each in named.split(",") if (name := each.strip().lower()) not in ("", "none"))


def _has_endpoint(signal: str) -> bool:
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    return any(os.environ.get(name, "").strip() for name in names)


def endpoint_of(signal: str) -> str:
    """Where OTLP is sent to."""
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "").strip()
    return own or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip() or DEFAULT_ENDPOINT


def protocol_of(signal: str) -> str:
    """`grpc` or `http/protobuf`: as the variables say, else as the port of the endpoint does."""
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "").strip().lower()
    told = own or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "").strip().lower()
    return told or ("http/protobuf" if OTLP_HTTP_PORT in endpoint_of(signal) else "grpc")


def timeout_of(signal: str) -> int | None:
    """Seconds that an export may take, retries included; None: as the variables say, which the exporters read."""
    names = ("OTEL_EXPORTER_OTLP_TIMEOUT", f"OTEL_EXPORTER_OTLP_{signal.upper()}_TIMEOUT")
    return None if any(os.environ.get(name) for name in names) else TIMEOUT_S


def is_asked_for(signal: str) -> bool:
    """By a variable of its own. What only goes along with traces need not be there."""
    own = (f"OTEL_{signal.upper()}_EXPORTER", f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    return any(os.environ.get(name, "").strip() for name in own)


def without_secrets(place: str) -> str:
    """An address as it may be shown."""
    scheme, found, rest = place.partition("://")
    return place if not found else f"{scheme}://{rest.rpartition('@')[2]}"


def is_reachable(signal: str) -> bool:
    """Whether somebody listens where that is sent to. At the end of a process there is no time to try for long."""
    endpoint = endpoint_of(signal)
    parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with socket.create_connection((parts.hostname or "localhost", port), timeout=0.5):
            return True
    except (OSError, ValueError):
        return False

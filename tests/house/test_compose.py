"""docker-compose.yml and the Dockerfile: valid, pinned, whole, without root, and for this machine alone."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import click
import pytest
from ruamel.yaml import YAML

from roost.cli.main import cli
from roost.otel import variables

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("otel", "streams", "projections", "actors", "adapters", "dashboard", "cli")
OWN = "roost:local"
"""The image that is built here, and has no version but that of the tree."""


def read_yaml(path: Path) -> Any:
    return cast("Any", YAML(typ="safe", pure=True)).load(path.read_text("utf-8"))


def interpolate(text: str) -> str:
    """As compose does where no variable is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


COMPOSE = json.loads(interpolate(json.dumps(read_yaml(ROOT / "docker-compose.yml"))))
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
every_service = pytest.mark.parametrize("name", SERVICES)
of_roost = [name for name, service in SERVICES.items() if service["image"] == OWN]


def test_the_file_is_what_compose_takes() -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    command: list[str | Path] = [checker, "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.yml"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_everything_around_roost_is_there() -> None:
    wanted = {"redis", "kafka", "jaeger", "prometheus", "grafana", "worker", "dash"}
    assert wanted <= set(SERVICES)
    assert SERVICES["worker"]["deploy"]["replicas"] == 2


@every_service
def test_each_image_is_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    assert image == OWN or re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+[\w.-]*", image)


def test_the_image_of_roost_is_pinned_and_has_no_root() -> None:
    [python] = re.findall(r"^ARG PYTHON=(.+)$", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"3\.\d+\.\d+-slim-\w+", python)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"python:${PYTHON}"}
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    [user] = re.findall(r"^USER (.+)$", last, re.MULTILINE)
    assert {SERVICES[name]["user"] for name in of_roost} == {user}


@every_service
def test_nothing_runs_as_root_or_with_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert str(service["user"]).partition(":")[0] not in ("", "0", "root")
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def mounts() -> Iterator[tuple[str, str]]:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            yield name, volume


def test_every_file_that_is_mounted_is_there_and_read_only() -> None:
    files = [(name, volume.split(":")) for name, volume in mounts() if volume.startswith(".")]
    assert files
    assert [name for name, (here, *_) in files if not (ROOT / here).exists()] == []
    assert [name for name, (*_, mode) in files if mode != "ro"] == []


def test_every_volume_is_named_once_and_used() -> None:
    used = [volume.partition(":")[0] for _, volume in mounts() if not volume.startswith(".")]
    assert sorted(used) == sorted(COMPOSE["volumes"])


@every_service
def test_every_port_is_of_this_machine_alone(name: str) -> None:
    ports = SERVICES[name].get("ports", [])
    assert [port for port in ports if not re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)] == []


def test_whoever_needs_another_waits_until_it_is_well() -> None:
    unchecked = {name for name, service in SERVICES.items() if "healthcheck" not in service}
    assert unchecked == set()
    needed = [
        (name, other, how) for name, service in SERVICES.items() for other, how in service.get("depends_on", {}).items()
    ]
    assert needed
    assert [each for each in needed if each[2]["condition"] != "service_healthy" or each[1] in unchecked] == []


@pytest.mark.parametrize("name", of_roost)
def test_commands_of_roost_are_commands(name: str) -> None:
    health = SERVICES[name]["healthcheck"]["test"]
    assert health[0] == "CMD"
    for first, *rest in [SERVICES[name]["command"], *([health[2:]] if health[1] == "roost" else [])]:
        command = cli.get_command(click.Context(cli), first)
        assert command is not None
        command.make_context(first, list(rest))


def test_workers_have_actors_to_let_work() -> None:
    [volume] = [volume for name, volume in mounts() if name == "worker"]
    here, there, _ = volume.split(":")
    _, module = SERVICES["worker"]["command"]
    file = ROOT / here / Path(module).relative_to(there)
    assert f"--flock {SERVICES['worker']['environment']['ROOST_FLOCK']}" in file.read_text("utf-8")


@pytest.mark.parametrize("name", of_roost)
def test_roost_sends_traces_to_jaeger_and_metrics_to_prometheus(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(variable, value)
    assert (variables.wanted("traces"), variables.wanted("metrics")) == (("otlp",), ("otlp",))
    assert (variables.endpoint_of("traces"), variables.protocol_of("traces")) == ("http://jaeger:4317", "grpc")
    assert variables.endpoint_of("metrics") == "http://prometheus:9090/api/v1/otlp/v1/metrics"
    assert variables.protocol_of("metrics") == "http/protobuf"
    assert "--web.enable-otlp-receiver" in SERVICES["prometheus"]["command"]


def test_jaeger_keeps_what_links_say_and_hands_metrics_on() -> None:
    file = ROOT / "deploy" / "jaeger.yaml"
    jaeger = read_yaml(file)
    [backend] = jaeger["extensions"]["jaeger_storage"]["backends"].values()
    assert list(backend) == ["memory"]  # badger loses the attributes of links
    for pipeline in jaeger["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            assert set(names) <= set(jaeger[kind])
    assert set(jaeger["service"]["extensions"]) <= set(jaeger["extensions"])
    variables = set(re.findall(r"\$\{env:(\w+)", file.read_text("utf-8")))
    assert variables <= set(SERVICES["jaeger"]["environment"])
    inside = {port.rpartition(":")[2] for port in SERVICES["jaeger"]["ports"]}
    assert inside <= set(re.findall(r":(\d+)\"$", file.read_text("utf-8"), re.MULTILINE))


def test_the_broker_has_an_identity_that_kafka_takes() -> None:
    identity = SERVICES["kafka"]["environment"]["CLUSTER_ID"]
    assert len(identity) == 22
    assert len(base64.urlsafe_b64decode(identity + "==")) == 16


def test_prometheus_translates_names_as_the_panels_have_them() -> None:
    prometheus = read_yaml(ROOT / "deploy" / "prometheus.yml")
    assert prometheus["otlp"]["translation_strategy"] == "UnderscoreEscapingWithSuffixes"
    assert "scrape_configs" not in prometheus


def test_the_builder_gets_what_the_wheel_is_made_of_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    let_in = {line[1:] for line in lines if line.startswith("!")}
    assert let_in == {"src", *ROOMS, "pyproject.toml", "constraints.txt", "README.md", "LICENSE"}
    assert "*" in lines
    assert all((ROOT / name).exists() for name in let_in)

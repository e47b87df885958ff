"""Apache Kafka as a program of its own: one broker in KRaft mode. `python -m roost_tests.kafka JARS` keeps one up."""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from roost.streams.kafka.access import KafkaAccess

from .ports import free_port
from .waiting import wait_until

START_S = 60
HEAP = ("-Xms96m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
TLS = Path(__file__).parent / "tls"
USER, PASSWORD = "alice", "wonder land"
CONFIGURATION = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{safe},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://localhost:{safe}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=300
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.certificate.chain={certificate}
ssl.keystore.key={key}
"""


class KafkaBroker:
    """From the jars that `make test-kafka` has gathered. Its data stay in `home`, and so do its ports."""

    def __init__(self, jars: str, home: Path) -> None:
        self._jars = jars
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        self._ports = {name: free_port() for name in ("plain", "safe", "controller")}
        self.bootstrap = f"127.0.0.1:{self._ports['plain']}"
        self.safe_bootstrap = f"localhost:{self._ports['safe']}"
        """By TLS and SCRAM-SHA-512, for USER."""

    def format(self) -> None:
        """Make its directory."""
        self._home.mkdir(parents=True, exist_ok=True)
        held = {name: _one_line(TLS / f"{name}.pem") for name in ("certificate", "key")}
        text = CONFIGURATION.format(**self._ports, data=self._home / "data", **held)
        self._file.write_text(text, "utf-8")
        ident = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode()[:22].replace("-", "A")
        scram = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
        command = self._java("kafka.tools.StorageTool", "format", "--standalone", "-t", ident, "-c", str(self._file))
        done = subprocess.run([*command, "--add-scram", scram], capture_output=True, timeout=START_S, check=False)
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()

    def start(self) -> None:
        """It answers some seconds later: `ready` waits for that."""
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", str(self._file)), stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )

    async def ready(self) -> None:
        await wait_until(self._answers, timeout=START_S, every=0.2)

    def kill(self) -> None:
        """kill -9. `start` starts it again, on the same ports and data."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """As an operator would."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_S)
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def log(self) -> Path:
        return self._home / "kafka.log"

    @property
    def _file(self) -> Path:
        return self._home / "kafka.properties"

    def _java(self, *arguments: str) -> list[str]:
        # Or tests that are killed would leave it behind.
        alone = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        return [*alone, "java", *HEAP, "-cp", f"{self._jars}/*", *arguments]

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text("utf-8", errors="replace")[-5000:]
        return await answers(self.bootstrap)


async def answers(bootstrap: str) -> bool:
    """Whether a broker there has taken up its work."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    admin: Any = AIOKafkaAdminClient(**KafkaAccess(bootstrap).client_options())
    try:
        await admin.start()
        return bool((await admin.describe_cluster())["brokers"])
    except (KafkaError, OSError):
        return False
    finally:
        await admin.close()


def _one_line(file: Path) -> str:
    """As a file of properties takes it."""
    return file.read_text("utf-8").strip().replace("\n", "\\n")


async def _keep_running(jars: str) -> None:
    with tempfile.TemporaryDirectory(prefix="roost-kafka-") as home:
        broker = KafkaBroker(jars, Path(home))
        broker.format()
        broker.start()
        try:
            await broker.ready()
            sys.stdout.write(f"{broker.bootstrap}\n")
            sys.stdout.flush()
            await asyncio.Event().wait()
        finally:
            broker.kill()


if __name__ == "__main__":
    try:
        asyncio.run(_keep_running(sys.argv[1] if len(sys.argv) > 1 else os.environ["ROOST_TEST_KAFKA"]))
    except KeyboardInterrupt:
        sys.exit(0)

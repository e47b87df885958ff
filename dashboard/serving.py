"""Serves the pages: Streamlit in this process, behind the gate, with nothing loaded from or told to elsewhere."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from roost.streams import RoostError

from .attic import Attic
from .gate import Gate, serve_with
from .page_server import PageServer
from .sight import TITLES
from .stale import drop_stale_requests

if TYPE_CHECKING:
    from .tokens import Tokens

log = structlog.get_logger(__name__)

LOOPBACK = {"127.0.0.1": socket.AF_INET, "localhost": socket.AF_INET, "::1": socket.AF_INET6}
HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
PAGE = Path(__file__).parent / "page.py"
MAX_UPLOAD_MB = 20


class PageError(RoostError):
    """The page cannot be served there."""


def is_shared(host: str) -> bool:
    """Whether other machines can reach what listens there."""
    return host not in LOOPBACK


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens at that port, or at any free one for 0. Raises PageError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise PageError(
            f"{host} is no address of this machine ({error.strerror}); choose another with --host"
        ) from error
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # old connections may linger
    try:
        listening.bind(address)
        listening.listen()
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise PageError(f"port {port} is in use; choose another with --port, or 0 for any free one") from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise PageError(f"{host} is no address of this machine; choose another with --host") from error
        raise PageError(f"port {port} cannot be used ({error.strerror}); choose another with --port") from error
    return listening


def serve_page(listening: socket.socket, host: str, tokens: Tokens, started: Callable[[], None]) -> None:
    """Until SIGINT or SIGTERM; `started` is called when the page is there. Once in a process, from its main thread."""
    from starlette.middleware import Middleware
    from streamlit import file_util, net_util
    from streamlit.starlette import App
    from streamlit.web import bootstrap

    # For a page of an origin that it does not know, Streamlit would ask two hosts on the Internet for this machine's
    # address, each time, and let in pages that come from it. The gate lets in none.
    net_util._external_ip = net_util._internal_ip = "127.0.0.1"  # pyright: ignore[reportPrivateUsage]  # there is no setting
    port = int(listening.getsockname()[1])
    cookie = f"roost_{port}"  # ports of a host share their cookies
    serve_with(tokens, cookie)
    bootstrap.load_config_options(streamlit_settings(host, port))
    frame = (Path(file_util.get_static_dir()) / "index.html").read_text("utf-8")
    hosts = None if is_shared(host) else HOSTS
    gate = Middleware(Gate, tokens=tokens, hosts=hosts, cookie=cookie, pages=tuple(TITLES), frame=frame)
    app = App(PAGE, middleware=[gate], on_script_error=_tell)
    drop_stale_requests()
    attic = Attic()
    attic.open()
    try:
        PageServer(app, started).run(sockets=[listening])
    finally:
        attic.close()


def _tell(error: Exception) -> None:
    """What went wrong is not for who looks: it may hold what is in the log."""
    log.error("a page could not be shown", exc_info=error)


def streamlit_settings(host: str, port: int) -> dict[str, Any]:
    """They win over the user's own settings of Streamlit, but for those of the theme."""
    return {
        "server_address": host,
        "server_port": port,
        "server_enableCORS": True,
        "server_enableXsrfProtection": True,
        "server_baseUrlPath": "",
        "server_enableAgentApi": False,
        "server_headless": True,
        "server_fileWatcherType": "none",
        "server_runOnSave": False,
        "server_enableStaticServing": False,
        "server_maxUploadSize": MAX_UPLOAD_MB,
        "browser_gatherUsageStats": False,
        "browser_serverAddress": host,
        "browser_serverPort": port,
        "client_toolbarMode": "minimal",
        "client_showErrorDetails": "none",  # they may hold what is in the log
        "client_showErrorLinks": "false",
        "global_developmentMode": False,
        "logger_hideWelcomeMessage": True,
        "logger_level": "warning",
        "runner_magicEnabled": False,
        "theme_light_primaryColor": "#2f6fb7",  # Streamlit's own is the red of an alarm
        "theme_dark_primaryColor": "#5b9bd9",
    }

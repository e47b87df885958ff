"""Serves the page: Streamlit in this process, on this machine only, with nothing loaded from or told to elsewhere."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path
from typing import Any

from roost.streams import RoostError

LOOPBACK = {"127.0.0.1": socket.AF_INET, "localhost": socket.AF_INET, "::1": socket.AF_INET6}
PAGE = Path(__file__).parent / "page.py"


class PageError(RoostError):
    """The page cannot be served there."""


def choose_port(host: str, port: int) -> int:
    """That port, or any free one for 0. Raises PageError when it is in use, or the host is not this machine alone."""
    family = LOOPBACK.get(host)
    if family is None:
        raise PageError(
            f"the page is for this machine alone, so it cannot be served on {host}: take 127.0.0.1, and an SSH tunnel "
            "(ssh -L) to look at it from elsewhere"
        )
    with socket.socket(family) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: old connections may linger
        try:
            attempt.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PageError(f"port {port} is in use; choose another with --port, or 0 for any free one") from error
            raise PageError(f"port {port} cannot be used ({error.strerror}); choose another with --port") from error
        return int(attempt.getsockname()[1])


def serve_page(host: str, port: int) -> None:
    """Until SIGINT or SIGTERM. To be called once in a process, from its main thread."""
    from streamlit import net_util
    from streamlit.web import bootstrap

    # For a page of an origin that it does not know, Streamlit would ask two hosts on the Internet for this machine's
    # address, each time, and let in pages that come from it. A page for this machine alone has no other address.
    net_util._external_ip = net_util._internal_ip = "127.0.0.1"  # pyright: ignore[reportPrivateUsage]  # there is no setting
    settings = streamlit_settings(host, port)
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):  # where it takes leave of people
        bootstrap.load_config_options(settings)
        bootstrap.run(str(PAGE), False, [], settings)


def streamlit_settings(host: str, port: int) -> dict[str, Any]:
    """They win over the user's own settings of Streamlit, but for those of the theme."""
    return {
        "server_address": host,
        "server_port": port,
        "server_allowedHosts": ["127.0.0.1", "localhost", "[::1]", "::1"],  # no other name leads here: DNS rebinding
        "server_enableCORS": True,
        "server_enableXsrfProtection": True,
        "server_baseUrlPath": "",
        "server_enableAgentApi": False,
        "server_headless": True,
        "server_fileWatcherType": "none",
        "server_runOnSave": False,
        "server_enableStaticServing": False,
        "server_maxUploadSize": 1,
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
    }

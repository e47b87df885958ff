"""The options that every command has, and what they mean: which server, which flock, how to log."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from .command import CommonOption
from .failure import remember_secret, tell

if TYPE_CHECKING:
    from roost.streams import Connection, Settings


@dataclass(frozen=True, slots=True)
class Common:
    """What was said by the common options. An option that was not given leaves the word to ROOST_*."""

    flock: str | None = None
    url: str | None = field(default=None, repr=False)
    home: str | None = None
    json: bool = False
    verbose: int = 0
    log_json: bool = False
    debug: bool = False

    def settings(self, *, model: str | None = None, jaeger: str | None = None) -> Settings:
        """Raises SettingsError."""
        import structlog

        from roost.streams import Settings
        from roost.streams.encryption.keyholder import use_keys
        from roost.streams.url import ServerUrl

        settings = Settings.read(url=self.url, flock=self.flock, home=self.home, model=model, jaeger=jaeger)
        use_keys(settings.key_place)
        structlog.contextvars.bind_contextvars(flock=settings.flock)
        if settings.url is not None:
            remember_secret(ServerUrl.parse(settings.url).password)
        return settings

    @asynccontextmanager
    async def connect(self, settings: Settings) -> AsyncGenerator[Connection]:
        """The server, Roost's own if no URL is set; if that has to be started, it is said. Raises ServerUnavailable."""
        from roost.streams import connect
        from roost.streams.server import start_server

        url = settings.url
        if url is None:
            address = await start_server(settings.home)
            url = address.url
            if address.started:
                tell(f"started Roost's own server in {settings.home}; it keeps running, `roost down` stops it")
        async with await connect(url) as connection:
            yield connection


def common_options(*, json: bool = False, traced: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a command the common options; its function gets them as one `common: Common`, with logging set up.

    `json` adds `--json`; a command that is `traced` is so where the OTEL_* variables ask for it. To stand below
    click.command and above the command's own options.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(**given: Any) -> Any:
            said = {name: given.pop(name) for name in Common.__dataclass_fields__ if name in given}
            common = Common(**said)
            from .logging import set_up_logging  # here, because structlog takes a while to import

            set_up_logging(verbose=common.verbose, as_json=common.log_json)
            if not traced:
                return function(common=common, **given)
            from .telemetry import telemetry

            with telemetry(common.flock):
                return function(common=common, **given)

        decorated: Callable[..., Any] = call
        for option in reversed(_options(json)):
            decorated = option(decorated)
        return decorated

    return decorate


def fold_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command that folds the log anew the options which name a user's own code: `actors` and `module`."""
    function = click.option("--module", metavar="MODULE", help="Where projections of your own are defined.")(function)
    return click.option("--actors", metavar="MODULE[:NAME]", help="The keyed actors whose states are meant.")(function)


def _options(json: bool) -> list[Callable[[Callable[..., Any]], Callable[..., Any]]]:
    def option(*names: str, **settings: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        return click.option(*names, cls=CommonOption, **settings)

    options = [
        option("--flock", metavar="NAME", help="The flock, instead of ROOST_FLOCK."),
        option("--url", metavar="URL", help="Its server, instead of ROOST_URL or Roost's own."),
        option("--home", metavar="DIRECTORY", help="Where Roost's own server is, instead of ROOST_HOME."),
        option("-v", "--verbose", count=True, help="Log what is done; twice: everything."),
        option("--log-json", is_flag=True, help="Log JSON lines, also to a terminal."),
        option("--debug", is_flag=True, help="Show the traceback of an error."),
    ]
    if json:
        options.insert(0, click.option("--json", is_flag=True, help="Print JSON, for programs."))
    return options

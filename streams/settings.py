"""What the user has set: the one place that reads ROOST_URL, ROOST_FLOCK, ROOST_HOME, ROOST_MODEL and the like."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from .encryption.choosing import names_function
from .errors import SettingsError
from .home import default_home, settle_home
from .keys import NAME
from .secret_file import read_secret
from .url import ServerUrl

DEFAULT_FLOCK = "default"
_PAGE = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~%!$&'()*+,;=:/-]*)?")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the memory is, and which flock and model to use there.

    `url` is None when Roost is to start its own server, in `home`. `model` is None when none was named. `jaeger` is
    where Jaeger shows traces to people, without a slash at its end, or None. The page's tokens are those with which
    browsers may look at it, and change things from it; None: it makes its own.
    """

    url: str | None = field(repr=False)  # may hold a password
    flock: str
    home: Path
    model: str | None
    jaeger: str | None = None
    keys: str = ""
    """Where keys of encrypted contents were said to be: a directory, or `module:function` of a key ring."""
    encrypted: bool | None = None
    """Whether a flock that is new is made with its contents encrypted."""
    page_token: str | None = field(default=None, repr=False)
    page_write_token: str | None = field(default=None, repr=False)

    @classmethod
    def read(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        url: str | None = None,
        flock: str | None = None,
        home: Path | str | None = None,
        model: str | None = None,
        jaeger: str | None = None,
    ) -> Settings:
        """The settings of this process. An argument wins over the environment; an empty variable counts as unset.

        The default home is made if it is needed, which is when no URL is set; if it cannot be made, a directory in the
        runtime or temporary directory takes its place, and a warning is logged once. Raises SettingsError.
        """
        environ = os.environ if environ is None else environ
        url = url or environ.get("ROOST_URL", "").strip() or None
        if url is not None:
            url = _with_password(url, environ.get("ROOST_PASSWORD_FILE", "").strip())
            ServerUrl.parse(url)
        place = _choose_home(environ, home or environ.get("ROOST_HOME") or None, needed=url is None)
        return cls(
            url=url,
            flock=_check_flock(flock or environ.get("ROOST_FLOCK") or DEFAULT_FLOCK),
            home=place,
            keys=_choose_keys(environ.get("ROOST_KEYS", "").strip()),
            encrypted=_check_switch("ROOST_ENCRYPTED", environ.get("ROOST_ENCRYPTED", "")),
            model=_check_model(model or environ.get("ROOST_MODEL") or None),
            jaeger=_check_jaeger(jaeger or environ.get("ROOST_JAEGER_URL", "").strip() or None),
            page_token=_secret_of(environ, "ROOST_DASH_TOKEN"),
            page_write_token=_secret_of(environ, "ROOST_DASH_WRITE_TOKEN"),
        )

    @property
    def key_place(self) -> str:
        """Where keys of encrypted contents are: in the home, if nothing else was said."""
        return self.keys or str(self.home / "keys")

    @property
    def shown_url(self) -> str | None:
        """The URL without its password, for people to read."""
        return None if self.url is None else ServerUrl.parse(self.url).shown


def _secret_of(environ: Mapping[str, str], name: str) -> str | None:
    """A variable, or what is in the file that the one with `_FILE` behind it names. Raises SettingsError."""
    file = environ.get(f"{name}_FILE", "").strip()
    return environ.get(name) or (read_secret(file, f"{name}_FILE") if file else None)


def _with_password(url: str, file: str) -> str:
    """An address with the password of a file, if it has none of its own. Raises SettingsError."""
    known = ServerUrl.parse(url)
    if not file or known.password is not None:
        return url
    secret = quote(read_secret(file, "ROOST_PASSWORD_FILE"), safe="")
    scheme, _, rest = url.partition("://")
    if known.scheme == "unix":
        return f"{url}{'&' if '?' in rest else '?'}password={secret}"
    authority, slash, more = rest.partition("/")
    user, _, place = authority.rpartition("@")
    return f"{scheme}://{user.rstrip(':')}:{secret}@{place}{slash}{more}"


def _check_flock(flock: str) -> str:
    if not NAME.fullmatch(flock):
        raise SettingsError(
            f"{flock!r} cannot name a flock: use up to 64 letters, digits, dots, dashes and underscores (ROOST_FLOCK)"
        )
    return flock


def _check_model(model: str | None) -> str | None:
    if model is not None and (not model.isprintable() or " " in model):
        raise SettingsError(f"{model!r} cannot name a model: it has spaces or control characters in it (ROOST_MODEL)")
    return model


def _check_switch(name: str, text: str) -> bool | None:
    """Raises SettingsError for what is neither 1 nor 0."""
    if text.strip() not in ("", "0", "1"):
        raise SettingsError(f"{name} is 1 or 0, not {text[:40]!r}")
    return text.strip() == "1" if text.strip() else None


def _choose_keys(place: str) -> str:
    if "\0" in place or "\n" in place:
        raise SettingsError(f"{place!r} cannot be where keys are: it has control characters in it (ROOST_KEYS)")
    return place if not place or names_function(place) else str(Path(place).expanduser().absolute())


def _check_jaeger(base: str | None) -> str | None:
    """It stands in what commands print, so it may hold no password."""
    if base is None:
        return None
    if not _PAGE.fullmatch(base):
        raise SettingsError(
            "the address of Jaeger's pages begins with http:// or https://, and has no user, no `?` and no `#` in it: "
            "http://localhost:16686 (--jaeger, ROOST_JAEGER_URL)"
        )
    return base.rstrip("/")


def _choose_home(environ: Mapping[str, str], chosen: Path | str | None, *, needed: bool) -> Path:
    if chosen is None:
        return settle_home(environ) if needed else default_home(environ)
    if "\0" in str(chosen) or "\n" in str(chosen):
        raise SettingsError(f"{str(chosen)!r} cannot be a directory: it has control characters in it (ROOST_HOME)")
    try:
        home = Path(chosen).expanduser().absolute()
    except RuntimeError:
        raise SettingsError(f"{chosen} names a user who does not exist; set ROOST_HOME to a full path") from None
    if home.exists() and not home.is_dir():
        raise SettingsError(f"{home} is not a directory; set ROOST_HOME to a directory that can be written")
    return home

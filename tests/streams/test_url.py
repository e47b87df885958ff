"""Addresses of servers: what is understood, what is refused, and that no password is ever shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.streams.errors import SettingsError
from roost.streams.url import ServerUrl, redact


def test_a_plain_address_has_the_usual_port_and_database() -> None:
    url = ServerUrl.parse("redis://example.org")
    assert (url.hosts, url.db, url.username, url.password) == ((("example.org", 6379),), 0, None, None)
    assert not url.is_tls
    assert not url.is_cluster


def test_every_part_is_understood() -> None:
    url = ServerUrl.parse("rediss://me:p%40ss%2F@example.org:7000/3?ssl_ca_certs=/dev/null&ssl_check_hostname=no")
    assert url.hosts == (("example.org", 7000),)
    assert (url.username, url.password, url.db) == ("me", "p@ss/", 3)
    assert url.tls == {"ssl_ca_certs": "/dev/null", "ssl_check_hostname": False}
    assert url.is_tls


def test_a_cluster_may_name_several_nodes() -> None:
    url = ServerUrl.parse("redis+cluster://me:secret@one:7000,two:7001,[::1]:7002,four")
    assert url.hosts == (("one", 7000), ("two", 7001), ("::1", 7002), ("four", 6379))
    assert url.is_cluster
    assert url.password == "secret"
    assert ServerUrl.parse("rediss+cluster://one").is_tls


def test_sentinels_tell_of_a_service() -> None:
    url = ServerUrl.parse("valkeys+sentinel://me:secret@one,two:7001/birds/2?sentinel_password=hunter2")
    assert (url.scheme, url.hosts) == ("rediss+sentinel", (("one", 26379), ("two", 7001)))
    assert (url.service, url.db, url.username, url.password) == ("birds", 2, "me", "secret")
    assert (url.sentinel_username, url.sentinel_password) == (None, "hunter2")
    assert url.is_watched
    assert url.is_tls
    assert not url.is_cluster
    assert "hunter2" not in repr(url) + url.shown


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis+sentinel://one", "names no service: write redis\\+sentinel://host:26379/name"),
        ("redis+sentinel://one/birds/two", "its database must be a number"),
        ("redis://one?sentinel_password=hunter2", "has a user or password for sentinels, but is not redis\\+sentinel"),
    ],
)
def test_what_sentinels_cannot_be_asked_is_refused(url: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as caught:
        ServerUrl.parse(url)
    assert "hunter2" not in str(caught.value)


def test_a_socket_is_a_path_with_a_database_behind_the_question_mark() -> None:
    url = ServerUrl.parse("unix:///run/a%20b/server.sock?db=2&password=hunter2")
    assert (url.path, url.db, url.password, url.hosts) == ("/run/a b/server.sock", 2, "hunter2", ())
    assert url.shown == "unix:///run/a%20b/server.sock?db=2&password=***"


def test_the_url_of_a_socket_is_read_back_as_that_socket() -> None:
    path = "/tmp/a b?c#d%e/server.sock"
    assert ServerUrl.parse(ServerUrl.of_socket(path)).path == path


@pytest.mark.parametrize("scheme", ["valkey", "VALKEY", "Redis"])
def test_valkey_addresses_are_redis_addresses(scheme: str) -> None:
    assert ServerUrl.parse(f"{scheme}://example.org").scheme == "redis"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("localhost:6379", "must begin with redis://"),
        ("http://example.org", "must begin with redis://"),
        ("", "must begin with redis://"),
        ("redis://example.org:port", "cannot be told apart"),
        ("redis://example.org:99999", "cannot be told apart"),
        ("redis://[::1", "cannot be told apart"),
        ("redis://example.org/abc", "database must be a number"),
        ("redis://example.org?db=-1", "database must be a number"),
        ("redis://example.org?decode_responses=True", "unknown parameter 'decode_responses'"),
        ("redis://example.org?socket_timeout=1", "unknown parameter 'socket_timeout'"),
        ("rediss://example.org?ssl_cert_reqs=never", "ssl_cert_reqs must be"),
        ("rediss://example.org?ssl_keyfile=/no/such.pem", "ssl_keyfile is no file: /no/such.pem"),
        ("redis+cluster://one/3", "only database 0"),
        ("rediss://one,two", "write rediss+cluster://"),
        ("unix://server.sock", "names no socket"),
        ("redis://exa mple.org", "spaces or control characters"),
        ("redis://user:pa/ss@example.org", "cannot be told apart"),
        ("redis://user:pa#ss@example.org:6379", "cannot be told apart"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line_that_says_why(url: str, reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ServerUrl.parse(url)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@example.org",
        "redis://user:hunter2@example.org:1/0",
        "redis://user:hun@hunter2@example.org",
        "redis://user:a/hunter2@example.org",
        "redis://user:a?hunter2@example.org",
        "redis://user:a#hunter2@example.org",
        "redis://user:hunter2@one:1,two:2",
        "redis+cluster://user:hunter2@[::1",
        "unix:///socket?password=hunter2",
        "rediss://example.org?ssl_password=hunter2",
        "user:hunter2@example.org",
        "htp://user:hunter2@example.org",
        "redis://user:\nhunter2@example.org",
    ],
)
def test_a_password_is_not_shown_even_where_the_address_is_refused(url: str) -> None:
    assert "hunter2" not in redact(url)
    assert "hunter2" not in _said_of(url)


def _said_of(url: str) -> str:
    try:
        return repr(ServerUrl.parse(url))
    except SettingsError as error:
        return f"{error} {error.__cause__}"


@given(st.text(min_size=1).filter(lambda text: "*" not in text))
def test_no_password_at_all_shows(password: str) -> None:
    marked = f"Q{password}Q"
    assert marked not in redact(f"redis://user:{marked}@example.org:6379/0")


def test_what_is_shown_has_no_control_characters() -> None:
    assert redact("redis://\x1b[31mexample.org") == "redis://?[31mexample.org"

"""Requests that come too late: a part of a page that has been left asks to be kept up.

Streamlit would run the part, as far as the page that is there now has one like it, and tell the browser that the page
before is shown again. The browser then empties the page, draws the part into nothing, and is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamlit.proto.ClientState_pb2 import ClientState

_dropping: list[bool] = []


def drop_stale_requests() -> None:
    """From now on, in this process. There is no setting for it."""
    from streamlit.runtime.app_session import AppSession

    if _dropping:
        return
    _dropping.append(True)
    request = AppSession.request_rerun

    def request_rerun(self: AppSession, client_state: ClientState | None) -> None:
        if client_state is None or not is_stale(client_state, self.page_script_hash):
            request(self, client_state)

    AppSession.request_rerun = request_rerun  # type: ignore[method-assign]  # it is meant to take its place


def is_stale(asked: ClientState, shown: str) -> bool:
    """Whether a part of another page asks than the one that is shown."""
    return bool(asked.fragment_id and asked.page_script_hash and shown and asked.page_script_hash != shown)

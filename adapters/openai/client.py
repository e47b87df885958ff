"""The client: OpenAI's own, whose requests go by way of the flock's memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self, cast

import httpx2
import openai
from openai import NotGiven, not_given
from typing_extensions import Unpack, override

from roost.actors import Flock
from roost.actors.memory import FLOCK_DEFAULT, Ttl

from .call import Call
from .door import Door
from .errors import Alone, Unreached
from .exchange import Exchange
from .official import ClientOptions, CopyOptions
from .reuse import attach
from .sharing import Sharing, Unavailable


class AsyncOpenAI(openai.AsyncOpenAI):
    """OpenAI's client, with all that it can do. The same request, asked by anyone in the flock, is one provider call.

    `flock` is an open flock, or a flock's name; without it, it is the one that ROOST_FLOCK names, on the server of
    ROOST_URL or Roost's own, opened at the first request and closed with the last client.
    `share` False asks the provider itself; True shares even what is not shared by default. `sample` asks for further,
    independent answers; `fresh` takes none from before the call; `ttl` is how long an answer is kept.
    `unavailable` says what a memory that is away means: "call" calls the provider without it, "raise" raises.
    All are meant for one call, too: `client.with_options(sample=2).chat.completions.create(…)`.
    """

    def __init__(
        self, *, flock: Flock | str | None = None, share: bool | None = None, sample: int = 0, fresh: bool = False,
        ttl: Ttl = FLOCK_DEFAULT, unavailable: Unavailable = "call", **official: Unpack[ClientOptions],
    ) -> None:  # fmt: skip
        self._sharing = Sharing(share=share, sample=sample, fresh=fresh, ttl=ttl, unavailable=unavailable)
        self._door = Door(flock)
        super().__init__(**official)

    @override
    def copy(
        self, *, flock: Flock | str | NotGiven | None = not_given, share: bool | NotGiven | None = not_given,
        sample: int | NotGiven = not_given, fresh: bool | NotGiven = not_given, ttl: Ttl | NotGiven = not_given,
        unavailable: Unavailable | NotGiven = not_given, **official: Unpack[CopyOptions],
    ) -> Self:  # fmt: skip
        """A client with these options changed, over the same connections; see the class for what they mean."""
        asked = {"share": share, "sample": sample, "fresh": fresh, "ttl": ttl, "unavailable": unavailable}
        changes: dict[str, Any] = {name: value for name, value in asked.items() if not isinstance(value, NotGiven)}
        copied = super().copy(**official)
        copied._sharing = replace(self._sharing, **changes)
        if not isinstance(flock, NotGiven):
            copied._door = Door(flock)
        elif copied._client is self._client:  # they are closed together
            copied._door = self._door
        else:
            copied._door = Door(self._door.flock)
        return copied

    with_options = copy

    @override
    async def close(self) -> None:
        """Close the connections, and the flock if it was opened for this client and no other needs it."""
        await self._door.close()
        await super().close()

    @override
    async def _process_response(self, *, response: httpx2.Response, **arguments: Any) -> Any:
        """Parsing, after which a parsed answer knows how it came about."""
        answer: Any = await super()._process_response(response=response, **arguments)
        attach(answer, response)
        return answer

    @override
    async def _send_request(self, request: httpx2.Request, *, stream: bool, **arguments: Any) -> httpx2.Response:
        """The client's one way to the network: below its retries, above its connections."""

        async def send(*, streaming: bool = True) -> httpx2.Response:
            return await super(AsyncOpenAI, self)._send_request(request, stream=streaming, **arguments)

        sharing = self._sharing.take_from(request.headers)
        call = None
        # An older httpx's client has requests of its own kind, which are sent as they are.
        if sharing.share is not False and isinstance(cast("object", request), httpx2.Request):
            call = Call.read(request, sharing.sample)
        if call is None or (call.against and not sharing.share):
            return await send(streaming=stream)
        outage = self._door.outage
        away = outage.current()
        if away is None:
            try:
                flock = await self._door.reach()
                response = await Exchange(flock, call, sharing, request, send, live=stream).respond()
            except Alone:
                return await send(streaming=stream)
            except Unreached as unreached:
                away = unreached.error
                outage.begin(away, calling=sharing.unavailable == "call")
            else:
                outage.end()
                return response
        if sharing.unavailable == "raise":
            raise away.with_traceback(None)  # it may be raised again and again
        return await send(streaming=stream)

"""A client that loses what it is told to lose."""

from __future__ import annotations

from typing import Any

from redis.exceptions import ConnectionError as LostReply


class LossyClient:
    """Loses what it is told to lose: a request never arrives, a reply is thrown away after the call was carried out."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.losses: list[str] = []

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        loss = self.losses.pop(0) if self.losses else None
        if loss == "request":
            raise LostReply("the request was lost")
        reply = await self._client.execute_command(*args, **options)
        if loss == "reply":
            raise LostReply("the reply was lost")
        return reply

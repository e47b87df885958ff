"""A view that is kept in memory: what a projection is folded into to be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from roost.streams.views import Standing


class HeldView:
    """Takes the place of a stored view. Its rows are JSON, too; its memory grows with them, not with the log."""

    def __init__(self, name: str, shard: int) -> None:
        self.name = name
        self.standing = Standing.start(shard)
        self.rows: dict[str, bytes] = {}

    async def read_standing(self) -> tuple[str, Standing]:
        return self.standing.to_text(), self.standing

    async def store(
        self, before: str, standing: Standing, rows: Mapping[str, bytes], failures: Sequence[bytes] = ()
    ) -> str:
        """Nobody else folds here: `before` is where it stands."""
        for key, row in rows.items():
            if row:
                self.rows[key] = row
            else:
                self.rows.pop(key, None)
        self.standing = standing
        return standing.to_text()

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self.rows.get(key) for key in keys]

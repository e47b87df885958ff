"""The page on which people watch a flock at work."""

__all__: list[str] = []

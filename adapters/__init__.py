"""Surfaces for programs that were not written for Roost."""

__all__: list[str] = []

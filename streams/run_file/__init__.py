"""A run in one file: its events, what they need from before, and the contents of its notes, under one checksum."""

from .refusal import RunFileUnusable
from .spooled import Bounds, SpooledRun
from .writing import RunFileWriter, Written

__all__ = ["Bounds", "RunFileUnusable", "RunFileWriter", "SpooledRun", "Written"]

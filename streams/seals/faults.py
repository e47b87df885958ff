"""Errors of seals."""

from __future__ import annotations

from ..errors import RoostError, SettingsError


class DamagedSeal(RoostError):
    """What stands for a seal is none."""


class SealsBroken(RoostError):
    """The chain of seals cannot be gone on with."""


class SealingBusy(RoostError):
    """Another process seals this flock."""


class ExportFailed(RoostError):
    """Seals could not be brought to where they are exported."""


class UnfitKey(SettingsError):
    """A key cannot be used."""

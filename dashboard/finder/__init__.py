"""The finder: what notes are looked for, kept up in place by a component of our own."""

from roost.dashboard.mounting import Ask, mount_asking

ask_finder: Ask = mount_asking("roost.finder", __file__, "finder", ("asked",))

__all__ = ["ask_finder"]

"""The picture: agents on a bough, notes as lights, reuse as threads; drawn by a component of our own."""

from roost.dashboard.mounting import Ask, mount_asking

show_picture: Ask = mount_asking("roost.picture", __file__, "picture", ("opened",))

__all__ = ["show_picture"]

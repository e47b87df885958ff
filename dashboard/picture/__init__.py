"""The picture: agents on a perch, notes as lights, reuse as threads; drawn by a component of our own."""

from roost.dashboard.mounting import Mount, mount

show_picture: Mount = mount("roost.picture", __file__, "picture")

__all__ = ["show_picture"]

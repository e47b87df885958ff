"""The Gantt: who did what when in a run, and what its end had to wait for; drawn by a component of our own."""

from .gantt import show_gantt

__all__ = ["show_gantt"]

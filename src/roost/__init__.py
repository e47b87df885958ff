"""Roost: one shared, event-sourced memory for a flock of AI agents."""

__version__ = "0.1.0"

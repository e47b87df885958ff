"""The card: a note, what is known of it, and its content as text, by a component of our own."""

from .card import Act, Fact, Part, show_card

__all__ = ["Act", "Fact", "Part", "show_card"]

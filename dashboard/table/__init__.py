"""The table: rows of text that are kept up in place, and can be opened; drawn by a component of our own."""

from .table import Cell, Column, Kind, Link, Row, show_table

__all__ = ["Cell", "Column", "Kind", "Link", "Row", "show_table"]

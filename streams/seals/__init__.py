"""Seals: signed digests of ranges of the log, in a chain, kept where who can change the log cannot reach."""

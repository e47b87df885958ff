"""Ingest: a topic's CloudEvents as events of a flock, each record once. How far it is stands in the flock itself."""

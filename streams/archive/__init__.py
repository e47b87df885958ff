"""The archive: old events in files, read on as if they had never left the server."""

"""What `roost replay` shows of a past run."""

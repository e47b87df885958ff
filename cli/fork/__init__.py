"""What `roost fork` does."""

"""What `roost report` shows: one run, several beside each other, or all of a flock."""

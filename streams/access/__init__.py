"""Access: users of a server, and what each of them may do with a flock."""

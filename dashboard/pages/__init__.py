"""The pages: what each shows, and nothing of what is around it."""

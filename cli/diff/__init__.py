"""What was different between two runs: how they were set up, what they took and answered, and their notes."""

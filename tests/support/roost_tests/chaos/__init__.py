"""The chaos run: work that can be checked, faults on a schedule, and a checker that reads the log."""

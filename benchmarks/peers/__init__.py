"""Processes that use something else than Roost, each as its documentation shows, in an environment of their own."""

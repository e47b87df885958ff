"""Processes that use Roost, for contests that need more than one."""

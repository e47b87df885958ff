"""The ledger: tables of agents, recent notes and usage, kept up in place by a component of our own."""

from roost.dashboard.mounting import Mount, mount

show_ledger: Mount = mount("roost.ledger", __file__, "ledger")

__all__ = ["show_ledger"]

"""`roost run`: one run conducted, shown and told; three ways compared; what is to come, planned."""

"""How a flock and its server stand at this moment: for who operates them."""

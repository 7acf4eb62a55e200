"""Random histories of writes, relays, switches and crashes on two real databases."""

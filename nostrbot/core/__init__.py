"""The domain: roles, sharing money, booking. Pure: no sockets, files, clock, randomness, floats."""

"""The domain: who may do what, how money is shared, what is booked. Pure: no sockets, files, clock, randomness, floats."""

"""The bot from outside: real processes, real relays, and people who use somebody else's library."""

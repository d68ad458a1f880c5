"""Settlements: the rules they must obey, how they are shared out, and what is done about one in trouble."""

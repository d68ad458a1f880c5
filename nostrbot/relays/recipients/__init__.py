"""Relays that other people chose: where somebody reads, and who carries a message there."""

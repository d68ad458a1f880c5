"""The sealed chain."""

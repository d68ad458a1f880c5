"""Proofs: what a book owes, committed to by a tree and signed."""

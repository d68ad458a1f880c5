"""Tests of the store: one writer, one transaction a batch, books that come back."""

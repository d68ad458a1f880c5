"""Tests of nostrbot, in the rooms of the package; peers/ holds the relays they talk to."""

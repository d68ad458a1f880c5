"""Tests of nostrbot/nostr, one file per module."""

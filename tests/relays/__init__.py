"""Tests of nostrbot/relays against real websockets."""

"""Connections to relays: one task a relay, many relays as one. Knows frames and events, not what they mean."""

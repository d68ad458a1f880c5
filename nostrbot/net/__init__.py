"""Strangers' addresses: what may be connected to, and how. Knows neither Nostr nor money."""

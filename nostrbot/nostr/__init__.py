"""The Nostr protocol as values: events, filters, messages, keys, encryption. Knows no money, no sockets, no clock."""

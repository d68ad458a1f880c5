"""The relays our tests talk to: two real ones, and a hostile one of our own."""

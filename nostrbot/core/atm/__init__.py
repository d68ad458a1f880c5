"""What machines say: payloads, decoded and attributed."""

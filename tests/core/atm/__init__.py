"""What machines say."""

"""One file a step; the number in front is the order."""

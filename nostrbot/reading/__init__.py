"""Reading: answers to questions."""

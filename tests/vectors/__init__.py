"""Vectors: official ones of the protocol, and trails and homes as earlier code wrote them."""

"""Commands as values: what a row of the table is made of, its arguments, a command understood, an order, a refusal."""

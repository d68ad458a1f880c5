"""The domain: rules as ledgers, one room of the house after another."""

"""Words: the data of answers and receipts in sentences, a module for each noun."""

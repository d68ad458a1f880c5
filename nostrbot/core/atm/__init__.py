"""The ATM desk: machines, LPs and their cash, sales and what becomes of them."""

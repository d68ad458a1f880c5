"""Exports: books as spreadsheets, programs and accountants read them."""

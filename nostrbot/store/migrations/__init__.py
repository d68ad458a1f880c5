"""Migrations of the database schema, applied in order, each whole or not at all."""

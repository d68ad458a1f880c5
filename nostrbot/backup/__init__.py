"""Backups: a bot in one file that is whole or not there, and back."""

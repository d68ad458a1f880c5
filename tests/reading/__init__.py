"""Tests of nostrbot/reading."""

"""Monitoring: what a bot shows to Prometheus, and what `nostrbot status` says of it."""

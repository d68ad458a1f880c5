"""Metrics: what a running bot shows to Prometheus."""

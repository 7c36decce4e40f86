"""Synthetic people with exact truth: `person`, `posed`, `shot`; whole scenes; shards of them."""

"""Sweeps: search spaces, proposals, workers."""

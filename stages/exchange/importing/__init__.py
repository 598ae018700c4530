"""Finished sets of others as artifacts: files found and checked, then read like any input."""

"""Figures of results: each a file that turns rows of results or summary into panels."""

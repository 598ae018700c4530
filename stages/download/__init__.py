"""Download: from a dataset manifest to sealed clean splits."""

"""Finds samples that two splits share: by name, by patient, by equal bytes, by likeness."""

"""The stages, one folder each; they meet only through sealed artifacts."""

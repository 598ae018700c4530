"""Sets to and from the forms of other tools: one file per format, behind one contract."""

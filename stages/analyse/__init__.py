"""Analyse stage: spectra, grey levels and embedding shifts of sealed sets, as tables and figures.

Nothing heavy is imported here; SciPy, scikit-learn, pyarrow and matplotlib are loaded by the
functions that use them.
"""

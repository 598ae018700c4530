"""Analyse stage: DCT spectra and grey-level densities of sealed sets, as tables and figures.

Nothing heavy is imported here; SciPy, pyarrow and matplotlib are loaded by the functions that use
them.
"""

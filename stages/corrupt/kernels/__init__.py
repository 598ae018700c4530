"""Corruption kernels: one file per corruption, listed in the explicit table of `table`.

Pixels must be the same bytes on every machine. A kernel therefore uses only integer arithmetic,
IEEE + - * / on float32 and float64 in a written order, comparisons, and shipped constants: no
library exp, sin or pow (their last bits depend on the processor), no fused multiply-add, no float
reduction whose order a library chooses.
"""

"""Which code path the sets that somebody published most resemble.

Renders a sample of the same clean images by every suite, and by the package `imagecorruptions`,
and compares what comes out: pixel by pixel where nothing is random, by statistics where it is.
A resemblance is evidence about a generator, never a proof that files are the same.
"""

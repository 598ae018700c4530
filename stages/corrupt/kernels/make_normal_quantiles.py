"""Write `normal_quantiles.npy`: ``python -m stages.corrupt.kernels.make_normal_quantiles``.

Layout: float32, shape (4098,). Entry k = 128 octave + step (octave 0 to 31, step 0 to 127) is the
standard normal number z whose upper tail probability is

    p = f 2**-32,  f = 2**(octave - 1) (1 + step / 128),

so f runs from 1/2 in steps that grow with it, and k is the top 16 bits of float32(f) less those
of float32(1/2). Entry 4096 (p = 1/2) is 0; entry 4097 is 0 and only closes the interpolation.
Computed to 50 digits with mpmath: z = sqrt(2) erfinv(1 - 2p).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

OCTAVES = 32
STEPS = 128


def main() -> None:
    """Write the table next to this file."""
    import mpmath

    mpmath.mp.dps = 50
    table = np.zeros(OCTAVES * STEPS + 2, np.float32)
    for k in range(OCTAVES * STEPS):
        octave, step = divmod(k, STEPS)
        p = mpmath.mpf(STEPS + step) / STEPS * mpmath.mpf(2) ** (octave - 33)
        table[k] = float(mpmath.sqrt(2) * mpmath.erfinv(1 - 2 * p))
    np.save(Path(__file__).with_name("normal_quantiles.npy"), table, allow_pickle=False)


if __name__ == "__main__":
    main()

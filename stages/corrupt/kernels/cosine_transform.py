"""The cosine transform of 8 x 8 blocks in whole numbers.

Loeffler, Ligtenberg and Moschytz 1989 with 13 fraction bits (libjpeg's jfdctint.c and jidctint.c).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.corrupt.kernels.compiling import compiled


@compiled("void(int32[:, :, ::1])")
def transform(blocks: NDArray[np.int32]) -> None:
    """Replace blocks by 8 times their transforms: along rows and then along columns.

    Parameters
    ----------
    blocks : (N, 64, 32) int32
        32 blocks lie side by side.
    """
    for n in range(blocks.shape[0]):
        _both_ways(blocks[n])


@compiled("void(int32[:, ::1])")
def _both_ways(block: NDArray[np.int32]) -> None:
    # Each turn writes what it read transposed.
    turned = np.empty((64, 32), np.int32)
    for turn in range(2):
        source, out = (block, turned) if turn == 0 else (turned, block)
        shift = (11 + 4 * turn) & 31
        half = np.int32(1 << (shift - 1))
        for k in range(8):
            s = 8 * k
            for j in range(32):
                d0, d7 = source[s, j], source[s + 7, j]
                d1, d6 = source[s + 1, j], source[s + 6, j]
                d2, d5 = source[s + 2, j], source[s + 5, j]
                d3, d4 = source[s + 3, j], source[s + 4, j]
                t0, t7 = np.int32(d0 + d7), np.int32(d0 - d7)
                t1, t6 = np.int32(d1 + d6), np.int32(d1 - d6)
                t2, t5 = np.int32(d2 + d5), np.int32(d2 - d5)
                t3, t4 = np.int32(d3 + d4), np.int32(d3 - d4)
                e0, e3 = np.int32(t0 + t3), np.int32(t0 - t3)
                e1, e2 = np.int32(t1 + t2), np.int32(t1 - t2)
                z1 = np.int32((e2 + e3) * 4433 + half)
                out[k, j] = np.int32((e0 + e1) * 8192 + half) >> shift
                out[32 + k, j] = np.int32((e0 - e1) * 8192 + half) >> shift
                out[16 + k, j] = np.int32(z1 + e3 * 6270) >> shift
                out[48 + k, j] = np.int32(z1 - e2 * 15137) >> shift
                z5 = np.int32((t4 + t6 + t5 + t7) * 9633 + half)
                z1 = np.int32((t4 + t7) * -7373)
                z2 = np.int32((t5 + t6) * -20995)
                z3 = np.int32((t4 + t6) * -16069 + z5)
                z4 = np.int32((t5 + t7) * -3196 + z5)
                out[56 + k, j] = np.int32(t4 * 2446 + z1 + z3) >> shift
                out[40 + k, j] = np.int32(t5 * 16819 + z2 + z4) >> shift
                out[24 + k, j] = np.int32(t6 * 25172 + z2 + z3) >> shift
                out[8 + k, j] = np.int32(t7 * 12299 + z1 + z4) >> shift


@compiled("void(int32[:, :, ::1])")
def transform_back(blocks: NDArray[np.int32]) -> None:
    """Replace transforms, (N, 64, 32) int32, by grey levels: along columns and then along rows."""
    none, most = np.int32(0), np.int32(255)
    for n in range(blocks.shape[0]):
        _both_ways_back(blocks[n])
        group = blocks[n].reshape(-1)
        for j in range(group.size):
            group[j] = min(max(np.int32(group[j] + 128), none), most)


@compiled("void(int32[:, ::1])")
def _both_ways_back(block: NDArray[np.int32]) -> None:
    turned = np.empty((64, 32), np.int32)
    for turn in range(2):
        source, out = (block, turned) if turn == 0 else (turned, block)
        shift = (11 + 7 * turn) & 31
        half = np.int32(1 << (shift - 1))
        for k in range(8):
            s = 8 * k
            for j in range(32):
                d2, d6 = source[16 + k, j], source[48 + k, j]
                z1 = np.int32((d2 + d6) * 4433)
                t2, t3 = np.int32(z1 - d6 * 15137), np.int32(z1 + d2 * 6270)
                t0 = np.int32((source[k, j] + source[32 + k, j]) * 8192 + half)
                t1 = np.int32((source[k, j] - source[32 + k, j]) * 8192 + half)
                e0, e3 = np.int32(t0 + t3), np.int32(t0 - t3)
                e1, e2 = np.int32(t1 + t2), np.int32(t1 - t2)
                t0, t1 = source[56 + k, j], source[40 + k, j]
                t2, t3 = source[24 + k, j], source[8 + k, j]
                z5 = np.int32((t0 + t2 + t1 + t3) * 9633)
                z1 = np.int32((t0 + t3) * -7373)
                z2 = np.int32((t1 + t2) * -20995)
                z3 = np.int32((t0 + t2) * -16069 + z5)
                z4 = np.int32((t1 + t3) * -3196 + z5)
                o0, o1 = np.int32(t0 * 2446 + z1 + z3), np.int32(t1 * 16819 + z2 + z4)
                o2, o3 = np.int32(t2 * 25172 + z2 + z3), np.int32(t3 * 12299 + z1 + z4)
                out[s, j] = np.int32(e0 + o3) >> shift
                out[s + 7, j] = np.int32(e0 - o3) >> shift
                out[s + 1, j] = np.int32(e1 + o2) >> shift
                out[s + 6, j] = np.int32(e1 - o2) >> shift
                out[s + 2, j] = np.int32(e2 + o1) >> shift
                out[s + 5, j] = np.int32(e2 - o1) >> shift
                out[s + 3, j] = np.int32(e3 + o0) >> shift
                out[s + 4, j] = np.int32(e3 - o0) >> shift

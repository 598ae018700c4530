"""The cosine transform of 8 x 8 blocks in whole numbers, as in `kernels.cosine_transform`.

Loeffler, Ligtenberg and Moschytz 1989 with 13 fraction bits (libjpeg's jfdctint.c and jidctint.c).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def transformed(blocks: Tensor) -> Tensor:
    """Return 8 times the transform of int32 `blocks` of shape (…, 8, 8): rows, then columns."""
    return _forwards(_forwards(blocks, -1, 11), -2, 15)


def transformed_back(blocks: Tensor) -> Tensor:
    """Return the values of the transform `blocks`, around 0: columns, then rows."""
    return _backwards(_backwards(blocks, -2, 11), -1, 18)


def _odd(a: Tensor, b: Tensor, c: Tensor, d: Tensor, half: int) -> tuple[Tensor, ...]:
    """Return the turns of the odd half, which both directions share."""
    z5 = (a + c + b + d) * 9633 + half
    z1, z2 = (a + d) * -7373, (b + c) * -20995
    z3, z4 = (a + c) * -16069 + z5, (b + d) * -3196 + z5
    return a * 2446 + z1 + z3, b * 16819 + z2 + z4, c * 25172 + z2 + z3, d * 12299 + z1 + z4


def _forwards(blocks: Tensor, axis: int, shift: int) -> Tensor:
    import torch

    half = 1 << (shift - 1)
    d = blocks.unbind(axis)
    t = [d[k] + d[7 - k] for k in range(4)]
    e0, e3, e1, e2 = t[0] + t[3], t[0] - t[3], t[1] + t[2], t[1] - t[2]
    z1 = (e2 + e3) * 4433 + half
    o7, o5, o3, o1 = _odd(d[3] - d[4], d[2] - d[5], d[1] - d[6], d[0] - d[7], half)
    even = [(e0 + e1) * 8192 + half, z1 + e3 * 6270, (e0 - e1) * 8192 + half, z1 - e2 * 15137]
    mixed = [even[0], o1, even[1], o3, even[2], o5, even[3], o7]
    return torch.stack([value >> shift for value in mixed], dim=axis)


def _backwards(blocks: Tensor, axis: int, shift: int) -> Tensor:
    import torch

    half = 1 << (shift - 1)
    d = blocks.unbind(axis)
    z1 = (d[2] + d[6]) * 4433
    t2, t3 = z1 - d[6] * 15137, z1 + d[2] * 6270
    t0, t1 = (d[0] + d[4]) * 8192 + half, (d[0] - d[4]) * 8192 + half
    even = [t0 + t3, t1 + t2, t1 - t2, t0 - t3]
    odd = _odd(d[7], d[5], d[3], d[1], 0)[::-1]
    sums = [e + o for e, o in zip(even, odd, strict=True)]
    rests = [e - o for e, o in zip(even, odd, strict=True)]
    return torch.stack([value >> shift for value in sums + rests[::-1]], dim=axis)

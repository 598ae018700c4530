"""Random fields from one integer key: raw words and standard normal numbers."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.stream import Stream
from stages.corrupt.kernels import scratch
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import Shape

_CHUNK = 1024
"""Words are made in chunks of 256 Philox blocks."""

_FIRST_BITS = 0x3F000000 >> 16
"""Top 16 bits of float32(0.5), where the quantile table begins."""


def draw_key(stream: Stream) -> int:
    """Return the key of the noise field of `stream`: 63 bits, so that it fits an int64 column."""
    return stream.child("noise").key >> 1


def random_words(key: int, count: int) -> NDArray[np.uint32]:
    """Return `count` random uint32 words of `key` (Philox4x32-10, Salmon et al. 2011).

    Word i of chunk c (c = i // 1024) is output j = i % 1024 // 256 of the block with counter
    256 c + i % 256: four runs of 256 per chunk, which a vector unit writes without shuffling.
    They lie in the thread's scratch memory, which the next call in the same thread overwrites.
    """
    words = scratch.words(-(-count // _CHUNK) * _CHUNK)
    fill_all_words(key, words)
    return words[:count]


def standard_normal(key: int, shape: Shape) -> NDArray[np.float32]:
    """Return a field of standard normal numbers of `key`, by the inverse of the distribution.

    Of each word one bit is the sign and 31 bits are m; the tail probability is
    p = (m + 1/2) 2**-32, so numbers reach 6.3. See `make_normal_quantiles` for the table, which
    is interpolated linearly: numbers are within 1e-4 of the exact quantile. They lie in the
    thread's scratch memory, which the next call in the same thread overwrites.
    """
    field = scratch.floats(shape)
    fill_normals(random_words(key, field.size), normal_quantiles(), field.reshape(-1))
    return field


@functools.lru_cache(maxsize=1)
def normal_quantiles() -> NDArray[np.float32]:
    """Return the table of `make_normal_quantiles`; read-only."""
    table: NDArray[np.float32] = np.load(
        Path(__file__).with_name("normal_quantiles.npy"), allow_pickle=False
    )
    table.setflags(write=False)
    return table


@compiled("void(uint64, int64, uint32[::1])")
def fill_words(key: int, chunk: int, words: NDArray[np.uint32]) -> None:
    """Fill the 1024 `words` of `chunk` of `key`: see `random_words`. For compiled callers."""
    low_half = np.uint64(0xFFFFFFFF)
    for block in range(256):
        c0 = np.uint32(chunk * 256 + block)
        c1 = np.uint32(0)
        c2 = np.uint32(0)
        c3 = np.uint32(0)
        k0 = np.uint32(key & low_half)
        k1 = np.uint32(key >> np.uint64(32))
        for _ in range(10):
            p0 = np.uint64(0xD2511F53) * np.uint64(c0)
            p1 = np.uint64(0xCD9E8D57) * np.uint64(c2)
            c0 = np.uint32(p1 >> np.uint64(32)) ^ c1 ^ k0
            c2 = np.uint32(p0 >> np.uint64(32)) ^ c3 ^ k1
            c1 = np.uint32(p1 & low_half)
            c3 = np.uint32(p0 & low_half)
            k0 = np.uint32(k0 + np.uint32(0x9E3779B9))
            k1 = np.uint32(k1 + np.uint32(0xBB67AE85))
        words[block] = c0
        words[block + 256] = c1
        words[block + 512] = c2
        words[block + 768] = c3


@compiled("void(uint64, uint32[::1])")
def fill_all_words(key: int, words: NDArray[np.uint32]) -> None:
    """Fill the `words` of `key`, a multiple of 1024: see `random_words`. For compiled callers."""
    for chunk in range(words.size // 1024):
        fill_words(key, chunk, words[chunk * 1024 : (chunk + 1) * 1024])


@compiled("void(Array(uint32, 1, 'C', True), Array(float32, 1, 'C', True), float32[::1])")
def fill_normals(
    words: NDArray[np.uint32], table: NDArray[np.float32], field: NDArray[np.float32]
) -> None:
    """Fill `field` with the normal numbers of `words`: see `standard_normal`. For compiled callers.

    `table` is `normal_quantiles`.
    """
    tails, lows, highs = (
        np.empty(1024, np.float32),
        np.empty(1024, np.float32),
        np.empty(1024, np.float32),
    )
    bits = tails.view(np.uint32)
    step = np.float32(2.0**-16)
    # Short loops of one kind each: a vector unit takes all but the look-up.
    for start in range(0, field.size, 1024):
        out = field[start : start + 1024]
        word = words[start : start + 1024]
        for i in range(out.size):
            magnitude = np.int32(word[i] & np.uint32(0x7FFFFFFF))
            tails[i] = np.float32(magnitude) + np.float32(0.5)
        for i in range(out.size):
            # The exponent and first seven fraction bits of a float are a logarithmic index.
            index = (bits[i] >> np.uint32(16)) - np.uint32(_FIRST_BITS)
            lows[i] = table[index]
            highs[i] = table[index + np.uint32(1)]
        for i in range(out.size):
            part = np.float32(np.int32(bits[i] & np.uint32(0xFFFF))) * step
            sign = np.float32(1.0) - np.float32(np.int32(word[i] >> np.uint32(31))) * np.float32(
                2.0
            )
            out[i] = sign * (lows[i] + part * (highs[i] - lows[i]))


@compiled("void(uint64, Array(float32, 1, 'C', True), float32[::1])")
def fill_all_normals(key: int, table: NDArray[np.float32], field: NDArray[np.float32]) -> None:
    """Fill `field` with the normal numbers of `key`: see `standard_normal`. For compiled callers.

    `table` is `normal_quantiles`.
    """
    words = np.empty(1024, np.uint32)
    for start in range(0, field.size, 1024):
        fill_words(key, start // 1024, words)
        fill_normals(words, table, field[start : start + 1024])

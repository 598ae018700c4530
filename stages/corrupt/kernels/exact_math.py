"""exp, sin and cos from + - * / alone: the same bits on every machine.

The C library and NumPy pick code by processor, and their last bits differ with it.
"""

from __future__ import annotations

import math
from decimal import Context

# ln 2 in two parts (fdlibm's e_exp.c): the first has 21 trailing zero bits, so that its product
# with any exponent of a float64 is exact.
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_LN2 = 6.93147180559945286227e-01

DIGITS = Context(prec=40)
"""Decimal arithmetic is done in integers, and 40 digits round to the nearest float64."""

_RADIANS_PER_DEGREE = 1.74532925199432954744e-02

_EXP_TERMS = tuple(1.0 / math.factorial(n) for n in range(14))
_SIN_TERMS = tuple((-1.0) ** n / math.factorial(2 * n + 1) for n in range(10))
_COS_TERMS = tuple((-1.0) ** n / math.factorial(2 * n) for n in range(10))


def exp(x: float) -> float:
    """Return e to the power `x`, for -700 <= x <= 700, within 2 units in the last place.

    x = n ln 2 + r with abs(r) <= 0.35, then the Taylor series of e**r and an exact scaling by 2**n.
    """
    n = math.floor(x / _LN2 + 0.5)
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    return math.ldexp(_polynomial(_EXP_TERMS, r), n)


def sin_cos_degrees(angle: float) -> tuple[float, float]:
    """Return the sine and cosine of `angle` in degrees, within 2e-16.

    The angle is first brought to abs(angle) <= 45 by whole quarter turns, which is exact.
    """
    quarters = math.floor(angle / 90.0 + 0.5)
    r = (angle - 90.0 * quarters) * _RADIANS_PER_DEGREE
    sine = r * _polynomial(_SIN_TERMS, r * r)
    cosine = _polynomial(_COS_TERMS, r * r)
    turned = ((sine, cosine), (cosine, -sine), (-sine, -cosine), (-cosine, sine))
    return turned[quarters % 4]


def _polynomial(terms: tuple[float, ...], x: float) -> float:
    """Return terms[0] + terms[1] x + terms[2] x**2 + … by Horner's rule."""
    value = 0.0
    for term in reversed(terms):
        value = value * x + term
    return value

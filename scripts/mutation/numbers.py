"""Arithmetic of the evaluator: exact fractions as long as possible, then balls of python-flint, or doubles where it is missing."""
import cmath
import math
from fractions import Fraction

from .latex import Unread

try:
    import flint

    flint.ctx.prec = 200
except ImportError:
    flint = None

EQUAL, UNEQUAL, UNKNOWN = "equal", "unequal", "unknown"
LIMIT = 10 ** 4  # largest exponent and factorial


def inexact(value):
    if not isinstance(value, Fraction):
        return value
    if flint:
        return flint.acb(flint.arb(flint.fmpq(value.numerator, value.denominator)))
    return complex(value.numerator / value.denominator)


def constant(name):
    if name == "i":
        return flint.acb(0, 1) if flint else 1j
    if name == "pi":
        return flint.acb(flint.arb.pi()) if flint else complex(math.pi)
    return inexact(Fraction(1)).exp() if flint else complex(math.e)


def as_complex(value):
    return complex(value)


def is_real(value):
    return isinstance(value, Fraction) or abs(as_complex(value).imag) < 1e-12 * (1 + abs(as_complex(value)))


def finite(value):
    number = as_complex(value)
    if not cmath.isfinite(number) or abs(number) > 1e200:
        raise Unread("not finite")
    return value


def add(a, b):
    return a + b if isinstance(a, Fraction) and isinstance(b, Fraction) else inexact(a) + inexact(b)


def multiply(a, b):
    return a * b if isinstance(a, Fraction) and isinstance(b, Fraction) else inexact(a) * inexact(b)


def divide(a, b):
    if abs(as_complex(b)) < 1e-30:
        raise Unread("division by zero")
    return a / b if isinstance(a, Fraction) and isinstance(b, Fraction) else inexact(a) / inexact(b)


def power(a, b):
    if abs(as_complex(b)) > LIMIT:
        raise Unread("exponent")
    if isinstance(b, Fraction) and b.denominator == 1:
        if a == 0 and b <= 0:
            raise Unread("zero to a negative power")
        if isinstance(a, Fraction):
            return Fraction(a) ** int(b)
    if abs(as_complex(a)) < 1e-30:
        if as_complex(b).real > 0:
            return Fraction(0)
        raise Unread("zero to a power")
    return inexact(a) ** (int(b) if isinstance(b, Fraction) and b.denominator == 1 else inexact(b))


def root(index, a):
    """The real root of a negative number where the index is odd, the principal one else."""
    if isinstance(index, Fraction) and index.denominator == 1 and index % 2 == 1 and is_real(a) and as_complex(a).real < 0:
        return multiply(Fraction(-1), power(multiply(Fraction(-1), a), divide(Fraction(1), index)))
    if isinstance(a, Fraction) and a >= 0 and index == 2:
        top, bottom = math.isqrt(a.numerator), math.isqrt(a.denominator)
        if top * top == a.numerator and bottom * bottom == a.denominator:
            return Fraction(top, bottom)
    return power(a, divide(Fraction(1), index))


def absolute(value):
    if isinstance(value, Fraction):
        return abs(value)
    return flint.acb(abs(value)) if flint else complex(abs(value))


def function(name, value):
    value = inexact(value)
    names = {"ln": "log"}
    reciprocal = {"sec": "cos", "csc": "sin", "cot": "tan"}
    if name in reciprocal:
        return divide(Fraction(1), function(reciprocal[name], value))
    name = names.get(name, name)
    if name == "log" and abs(as_complex(value)) < 1e-30:
        raise Unread("log of zero")
    try:
        return finite(getattr(value, name)() if flint else getattr(cmath, name)(value))
    except (ValueError, OverflowError, AttributeError, ZeroDivisionError):
        raise Unread(name) from None


def rounded(name, value):
    if isinstance(value, Fraction):
        return Fraction(math.floor(value) if name == "floor" else math.ceil(value))
    real = as_complex(value).real
    if not is_real(value) or abs(real - round(real)) < 1e-9 or abs(real) > 1e12:
        raise Unread("rounding at a jump")
    return Fraction(math.floor(real) if name == "floor" else math.ceil(real))


def factorial(value):
    if isinstance(value, Fraction) and value.denominator == 1 and 0 <= value <= LIMIT:
        return Fraction(math.factorial(int(value)))
    if isinstance(value, Fraction) and flint and value > 0 and value < 100:
        return (inexact(value) + 1).gamma()
    raise Unread("factorial")


def binomial(n, k):
    if all(isinstance(v, Fraction) and v.denominator == 1 and 0 <= v <= LIMIT for v in (n, k)):
        return Fraction(math.comb(int(n), int(k)))
    raise Unread("binomial")


def compare(a, b):
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return EQUAL if a == b else UNEQUAL
    a, b = inexact(a), inexact(b)
    scale = abs(as_complex(a)) + abs(as_complex(b)) + 1e-30
    distance = abs(as_complex(a - b)) / scale
    if flint:
        difference = a - b
        if not difference.contains(0):
            return UNEQUAL if distance > 1e-20 else UNKNOWN
        return EQUAL if float(abs(difference).upper() if hasattr(abs(difference), "upper") else abs(difference)) < 1e-25 * max(scale, 1) else UNKNOWN
    return EQUAL if distance < 1e-10 else UNEQUAL if distance > 1e-6 else UNKNOWN

"""The value of a tree at a point: symbols get random coordinates, the same for every occurrence of a name."""
import functools
import random
from fractions import Fraction

from . import numbers
from .latex import Unread

SCALARS = {"num", "based", "sym", "const", "add", "neg", "mul", "div", "pow", "fn", "root", "abs", "fact", "binom", "pm", "unit"}
# Where a function has pieces, a few points may all lie on one of them.
PIECES = [f"grid {value}" for value in [*range(0, 41), *(n + Fraction(1, 2) for n in range(0, 12)), 1000, 10 ** 4, 10 ** 7]]
POINTS = ["positive", "positive 2", "positive 3", "below 1", "negative", "negative 2", "integer 2", "integer 3", "integer 5"]


@functools.lru_cache(maxsize=None)
def coordinate(name, point):
    """A value for a symbol: the same for every occurrence, another for each point."""
    rng = random.Random(name + "@" + point)
    size = Fraction(rng.randrange(1, 997), 997)
    if point.startswith("positive"):
        return 1 + 2 * size
    if point.startswith("below"):
        return size
    if point.startswith("grid"):
        return Fraction(point.split()[1]) + sum(map(ord, name)) % 5
    if point.startswith("integer"):
        return Fraction(rng.randrange(1, 4) + int(point[-1]))
    return -(Fraction(1, 2) + 2 * size)


class Evaluator:
    """One point, one sign of the plus-minus, one base of \\log."""

    def __init__(self, point, sign=1, log_base=None):
        self.point, self.sign, self.log_base = point, sign, log_base

    def value(self, node):
        return getattr(self, "on_" + node[0], self.unread)(node)

    def unread(self, node):
        raise Unread(node[0])

    def on_num(self, node):
        return node[1]

    def on_based(self, node):
        return node[2]

    def on_sym(self, node):
        return coordinate(node[1], self.point)

    def on_const(self, node):
        if node[1] == "inf":
            raise Unread("infinity")
        return numbers.constant(node[1])

    def on_add(self, node):
        return functools.reduce(numbers.add, (self.value(term) for term in node[1]))

    def on_neg(self, node):
        return numbers.multiply(Fraction(-1), self.value(node[1]))

    def on_pm(self, node):
        return numbers.multiply(Fraction(self.sign * node[1]), self.value(node[2]))

    def on_mul(self, node):
        return numbers.multiply(self.value(node[1]), self.value(node[2]))

    def on_div(self, node):
        return numbers.divide(self.value(node[1]), self.value(node[2]))

    def on_pow(self, node):
        return numbers.finite(numbers.power(self.value(node[1]), self.value(node[2])))

    def on_root(self, node):
        return numbers.root(self.value(node[1]), self.value(node[2]))

    def on_abs(self, node):
        return numbers.absolute(self.value(node[1]))

    def on_fact(self, node):
        return numbers.factorial(self.value(node[1]))

    def on_binom(self, node):
        return numbers.binomial(self.value(node[1]), self.value(node[2]))

    def on_unit(self, node):
        raise Unread("unit inside")

    def on_fn(self, node):
        name = node[1]
        argument = node[2]
        if argument[0] == "unit" and argument[1] == "degree":
            value = numbers.divide(numbers.multiply(numbers.constant("pi"), self.value(argument[2])), Fraction(180))
        else:
            value = self.value(argument)
        if name in ("floor", "ceil"):
            return numbers.rounded(name, value)
        if name == "log":
            base = self.value(node[3]) if node[3] is not None else self.log_base
            result = numbers.function("log", value)
            return result if base is None else numbers.divide(result, numbers.function("log", base))
        if len(node) > 3 and node[3] is not None:
            raise Unread("base")
        return numbers.function(name, value)


def contains(node, test):
    if isinstance(node, tuple):
        return test(node) or any(contains(child, test) for child in node[1:])
    return isinstance(node, list) and any(contains(child, test) for child in node)


def symbols(node):
    found = set()
    contains(node, lambda n: n[0] == "sym" and found.add(n[1]))
    return found


def has_pieces(node):
    return contains(node, lambda n: n[0] == "abs" or n[0] == "fn" and n[1] in ("floor", "ceil"))


def value_or_none(node, evaluator):
    try:
        return evaluator.value(node)
    except (Unread, ZeroDivisionError, OverflowError, ValueError):
        return None

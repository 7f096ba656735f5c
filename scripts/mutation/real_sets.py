"""Intervals, unions, finite sets and inequalities in one symbol, compared as sets of reals."""
from fractions import Fraction

from . import numbers
from .evaluate import Evaluator, symbols
from .latex import Unread
from .numbers import EQUAL, UNEQUAL, UNKNOWN

FLIP = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le", "=": "=", "\\ne": "\\ne"}
INFINITE = 1e300


def endpoint(node):
    if node == ("const", "inf") or node == ("neg", ("const", "inf")) or node == ("add", [("const", "inf")]):
        return INFINITE if node[0] != "neg" else -INFINITE
    value = Evaluator("positive").value(node[2] if node[0] == "unit" else node)
    if not numbers.is_real(value):
        raise Unread("complex end")
    return float(value) if isinstance(value, Fraction) else numbers.as_complex(value).real


def pieces(node):
    """A set of reals as intervals (low, high, low closed, high closed)."""
    if node[0] == "group" and len(node[3]) == 2:
        low, high = (endpoint(n) for n in node[3])
        if low == -INFINITE and node[1] == "[" or high == INFINITE and node[2] == "]":
            raise Unread("infinity as a member")
        return [(low, high, node[1] == "[", node[2] == "]")]
    if node[0] == "set":
        return [(v, v, True, True) for v in map(endpoint, node[1])]
    if node[0] == "setop" and node[1] == "\\cup":
        return pieces(node[2]) + pieces(node[3])
    if node[0] == "rel" and node[2] == ["\\in"] and node[1][0][0] == "sym":
        return pieces(node[1][1])
    if node[0] == "rel" and len(node[2]) == 1 and node[2][0] in ("<", ">", "\\le", "\\ge"):
        return half_line(node)
    if node[0] == "rel" and len(node[2]) == 2 and node[1][1][0] == "sym" and all(r in ("<", "\\le") for r in node[2]):
        return [(endpoint(node[1][0]), endpoint(node[1][2]), node[2][0] == "\\le", node[2][1] == "\\le")]
    raise Unread("no set of reals")


def half_line(node):
    (left, right), relation = node[1], node[2][0]
    if right[0] == "sym":
        left, right, relation = right, left, FLIP[relation]
    if left[0] != "sym" or symbols(right):
        raise Unread("no half line")
    end = endpoint(right)
    closed = relation in ("\\le", "\\ge")
    return [(-INFINITE, end, False, closed)] if relation in ("<", "\\le") else [(end, INFINITE, closed, False)]


def member(x, parts):
    return any(low < x < high or (x == low and low_in) or (x == high and high_in) for low, high, low_in, high_in in parts)


def compare_sets(a, b):
    try:
        left, right = pieces(a), pieces(b)
    except (Unread, ZeroDivisionError, OverflowError):
        return UNKNOWN
    ends = sorted({end for part in left + right for end in part[:2] if abs(end) < INFINITE})
    merged = {}
    for end in ends:
        merged[end] = next((m for m in merged.values() if abs(m - end) <= 1e-12 * (1 + abs(end))), end)
    left, right = ([(merged.get(p[0], p[0]), merged.get(p[1], p[1]), *p[2:]) for p in parts] for parts in (left, right))
    ends = sorted(set(merged.values()))
    probes = ends + [(x + y) / 2 for x, y in zip(ends, ends[1:])] + ([ends[0] - 1, ends[-1] + 1] if ends else [0.0])
    return EQUAL if all(member(x, left) == member(x, right) for x in probes) else UNEQUAL


def is_set(node):
    try:
        return node[0] in ("group", "setop", "rel", "set") and bool(pieces(node) or node[0] == "set")
    except (Unread, ZeroDivisionError, OverflowError):
        return False

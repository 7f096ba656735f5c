"""Decides whether two answers are equal, unequal or undecided, without the verifier.

Where the documented rules let two things count as one (a name, a unit or a percent sign left out, the order of a list), they
are equal here too; everything that would need a policy which is not obvious is "unknown".
"""
import functools
import itertools
from fractions import Fraction

from . import numbers
from .evaluate import PIECES, POINTS, SCALARS, Evaluator, contains, has_pieces, symbols, value_or_none
from .latex import Unread, readings
from .numbers import EQUAL, UNEQUAL, UNKNOWN
from .real_sets import FLIP, compare_sets, is_set

NUMBER_WORDS = {"tenths": Fraction(1, 10), "hundredths": Fraction(1, 100), "thousandths": Fraction(1, 1000), "thirds": Fraction(1, 3),
                "halves": Fraction(1, 2), "fifths": Fraction(1, 5), "hundred": Fraction(100), "thousand": Fraction(1000),
                "million": Fraction(10 ** 6), "billion": Fraction(10 ** 9), "dozen": Fraction(12)}


def compare_at(a, b, point, log_base):
    """With a plus-minus sign both stand for two values."""
    signs = (1, -1) if contains((0, a, b), lambda n: n[0] == "pm") else (1,)
    left = [value_or_none(a, Evaluator(point, s, log_base)) for s in signs]
    right = [value_or_none(b, Evaluator(point, s, log_base)) for s in signs]
    if None in left or None in right:
        return None
    orders = [[numbers.compare(x, y) for x, y in zip(left, order)] for order in itertools.permutations(right)]
    if any(all(v == EQUAL for v in order) for order in orders):
        return EQUAL
    return UNEQUAL if all(UNEQUAL in order for order in orders) else UNKNOWN


def compare_expressions(a, b, log_base=None):
    if not symbols((0, a, b)):
        return compare_at(a, b, "constant", log_base) or UNKNOWN
    at = {point: compare_at(a, b, point, log_base) for point in POINTS}
    if has_pieces((0, a, b)) and UNEQUAL in (compare_at(a, b, point, log_base) for point in PIECES):
        return UNEQUAL
    positive = [at[p] for p in POINTS[:4] if at[p]]
    rest = [at[p] for p in POINTS[4:6] if at[p]]
    whole = [at[p] for p in POINTS[6:] if at[p]]
    if UNEQUAL in positive:
        # Where a symbol counts something, (-1)^n and (-1)^{-n} are the same.
        return UNKNOWN if whole and UNEQUAL not in whole and symbols((0, a, b)) <= set("nkmjp") else UNEQUAL
    if positive and all(v == EQUAL for v in positive):
        return EQUAL if all(v == EQUAL for v in rest) else UNKNOWN
    return UNKNOWN


def same_for_all(verdicts):
    """Several readings: they count only where they agree; equal in one is not unequal."""
    verdicts = list(verdicts)
    if verdicts and all(v == UNEQUAL for v in verdicts):
        return UNEQUAL
    return EQUAL if EQUAL in verdicts else UNKNOWN


def unit_values(node, other):
    """A percent or degree sign may be left out where the other side has none."""
    if node[0] != "unit":
        return [node]
    inner = node[2]
    if other[0] == "unit" and other[1] == node[1] or node[1] == "money":
        return [inner]
    factor = ("div", inner, ("num", Fraction(100))) if node[1] == "percent" else ("div", ("mul", inner, ("const", "pi")), ("num", Fraction(180)))
    return [inner, factor]


def compare_scalars(a, b):
    log_bases = (None, Fraction(10)) if contains((0, a, b), lambda n: n[0] == "fn" and n[1] == "log" and n[3] is None) else (None,)
    verdicts = [compare_expressions(x, y, base) for x in unit_values(a, b) for y in unit_values(b, a) for base in log_bases]
    return same_for_all(verdicts)


def negated(node):
    return ("neg", node)


def difference(node):
    return ("add", [node[1][0], negated(node[1][1])])


def proportional(f, g):
    """The constant f / g, or None where it is not constant, or UNKNOWN."""
    ratios = []
    for point in POINTS[:4]:
        x, y = value_or_none(f, Evaluator(point)), value_or_none(g, Evaluator(point))
        if x is not None and y is not None and abs(numbers.as_complex(x)) > 1e-30 and abs(numbers.as_complex(y)) > 1e-30:
            ratios.append(numbers.divide(x, y))
    if len(ratios) < 2:
        return UNKNOWN
    verdicts = [numbers.compare(ratios[0], other) for other in ratios[1:]]
    return None if UNEQUAL in verdicts else ratios[0] if all(v == EQUAL for v in verdicts) else UNKNOWN


def compare_relations(a, b):
    if len(a[1]) != 2 or len(b[1]) != 2:
        return compare_chains(a, b)
    if any(side[0] not in SCALARS for side in a[1] + b[1]):
        return compare_chains(a, b)
    ra, rb = a[2][0], b[2][0]
    if ra not in FLIP or rb not in FLIP:
        return compare_chains(a, b)
    ratio = proportional(difference(a), difference(b))
    if ratio is UNKNOWN:
        return UNKNOWN
    if ratio is None:
        return UNEQUAL
    if numbers.as_complex(ratio).real < 0:
        rb = FLIP[rb]
    return EQUAL if ra == rb else UNEQUAL


def compare_chains(a, b):
    """A chain with an approximation offers both of its sides, which only the rules of the verifier can settle."""
    if "\\approx" in a[2] + b[2]:
        return UNKNOWN
    if len(a[1]) != len(b[1]):
        return UNKNOWN
    if a[2] != b[2]:
        flipped = ("rel", b[1][::-1], [FLIP.get(r, r) for r in b[2][::-1]])
        return compare_chains(a, flipped) if flipped[2] == a[2] != b[2] else UNEQUAL if len(set(a[2]) & set(b[2])) == 0 else UNKNOWN
    verdicts = [compare_nodes(x, y) for x, y in zip(a[1], b[1])]
    if set(a[2]) == {"="}:
        return EQUAL if all(v == EQUAL for v in verdicts) else UNEQUAL if verdicts[-1] == UNEQUAL and verdicts[0] == EQUAL else UNKNOWN
    return EQUAL if all(v == EQUAL for v in verdicts) else UNEQUAL if UNEQUAL in verdicts else UNKNOWN


def named_value(node):
    """x = 5 and f(x) = 5 give 5."""
    if node[0] == "rel" and node[2] == ["="] and symbols(node[1][0]) and node[1][0][0] in ("sym", "mul"):
        return node[1][1]
    return None


def compare_ordered(a, b):
    if len(a) != len(b):
        return UNEQUAL
    verdicts = [compare_nodes(x, y) for x, y in zip(a, b)]
    return UNEQUAL if UNEQUAL in verdicts else EQUAL if all(v == EQUAL for v in verdicts) else UNKNOWN


def matching(table, allowed):
    """Whether every row can be given a column of its own (bipartite matching)."""
    owner = {}

    def place(row, seen):
        for column, verdict in enumerate(table[row]):
            if verdict in allowed and column not in seen:
                seen.add(column)
                if column not in owner or place(owner[column], seen):
                    owner[column] = row
                    return True
        return False

    return all(place(row, set()) for row in range(len(table)))


def compare_unordered(a, b, repetitions):
    if any(x[0] == "sym" and x[1].startswith("ldots") for x in a + b):
        return UNKNOWN
    table = [[compare_nodes(x, y) for y in b] for x in a]
    columns = [list(column) for column in zip(*table)]
    if repetitions:
        if len(a) != len(b):
            return UNEQUAL
        if matching(table, {EQUAL}):
            return EQUAL
        return UNKNOWN if matching(table, {EQUAL, UNKNOWN}) else UNEQUAL
    if not a or not b:
        return EQUAL if not a and not b else UNEQUAL
    if all(EQUAL in row for row in table + columns):
        return EQUAL
    return UNEQUAL if any(set(row) == {UNEQUAL} for row in table + columns) else UNKNOWN


def as_values(node):
    """What a name, a word or brackets round it leave of a node."""
    value = named_value(node)
    return value if value is not None else node


def quantity(node):
    """5 \\text{ apples} as (5, apples), with words that stand for numbers multiplied in."""
    if node[0] != "seq" or len(node[1]) != 2 or node[1][1][0] != "words" or node[1][0][0] not in SCALARS:
        return None
    words = node[1][1][1]
    if words in NUMBER_WORDS:
        return ("mul", node[1][0], ("num", NUMBER_WORDS[words])), ""
    return node[1][0], words


def without_sign(node):
    """-\\text{Tuesday} as \\text{Tuesday}, None where no minus stands before words."""
    if node[0] != "seq" or node[1][0] != ("sign", "-"):
        return None
    return node[1][1] if len(node[1]) == 2 else ("seq", node[1][1:])


def compare_sequences(a, b):
    if without_sign(a) == b or without_sign(b) == a:
        return UNEQUAL
    left, right = quantity(a), quantity(b)
    if left and right and left[1] == right[1]:
        return compare_nodes(left[0], right[0])
    if left and left[1] == "" and b[0] in SCALARS:
        return compare_nodes(left[0], b)
    if right and right[1] == "" and a[0] in SCALARS:
        return compare_nodes(a, right[0])
    if a[0] == b[0] == "seq" and len(a[1]) == len(b[1]):
        return compare_parts(list(zip(a[1], b[1])))
    return UNKNOWN


def compare_parts(pairs):
    """The same words round expressions: the expressions decide."""
    if any(x[0] != y[0] and "words" in (x[0], y[0]) or x[0] == y[0] == "words" and x != y for x, y in pairs):
        return UNKNOWN
    if any(x[0] == y[0] == "sign" and x != y for x, y in pairs):
        return UNEQUAL
    rest = [(x, y) for x, y in pairs if x[0] not in ("words", "sign")]
    return compare_ordered([x for x, _ in rest], [y for _, y in rest])


def compare_ratio(a, b):
    if a[0] == b[0] == "ratio":
        return compare_scalars(("div", *a[1:3]), ("div", *b[1:3])) if "ratio" not in (a[1][0], b[1][0]) else UNKNOWN
    ratio, other = (a, b) if a[0] == "ratio" else (b, a)
    return UNKNOWN if other[0] not in SCALARS or ratio[1][0] == "ratio" else compare_scalars(("div", *ratio[1:3]), other)


def compare_nodes(a, b):
    if a == b:
        return EQUAL
    kinds = {a[0], b[0]}
    if kinds <= SCALARS:
        return compare_scalars(a, b)
    if "seq" in kinds or "words" in kinds:
        return compare_sequences(a, b)
    if "ratio" in kinds:
        return compare_ratio(a, b)
    if kinds == {"matrix"}:
        shapes = [[len(row) for row in node[1]] for node in (a, b)]
        return UNEQUAL if shapes[0] != shapes[1] else compare_ordered(sum(a[1], []), sum(b[1], []))
    if kinds == {"list"}:
        return compare_unordered(a[1], b[1], repetitions=True)
    if kinds == {"set"}:
        return compare_unordered(a[1], b[1], repetitions=False)
    if kinds == {"group"}:
        return compare_groups(a, b)
    if kinds == {"rel"}:
        return compare_named(a, b)
    return compare_mixed(a, b)


def constant_function(node):
    """The letter and the value of f(x) = 3, which says the same whatever its argument is called."""
    left, right = node[1][0], node[1][-1]
    named = node[2] in (["="], ["\\equiv"]) and left[0] == "mul" and len(left) == 3 and left[1][0] == left[2][0] == "sym"
    return (left[1], right) if named and left[1][1] in "fghFGH" and right[0] in SCALARS and not symbols(right) else None


def compare_named(a, b):
    constants = constant_function(a), constant_function(b)
    if None not in constants and constants[0][0] == constants[1][0]:
        return compare_nodes(constants[0][1], constants[1][1])
    names = named_value(a), named_value(b)
    verdict = compare_relations(a, b)
    if None not in names and a[1][0] == b[1][0] and names[0][0] not in SCALARS:
        return compare_nodes(*names)
    if verdict != EQUAL and is_set(a) and is_set(b) and len(symbols(a)) == len(symbols(b)) == 1 and symbols(a) == symbols(b):
        return compare_sets(a, b)
    return verdict


def compare_groups(a, b):
    """(1,2) may be a point or an interval: unequal only when it is in both readings."""
    verdicts = []
    if len(a[3]) == len(b[3]) == 2 and is_set(a) and is_set(b):
        verdicts.append(compare_sets(a, b))
    plain = a[1:3] == b[1:3]
    ordered = compare_ordered(a[3], b[3])
    verdicts.append(ordered if plain or ordered == UNEQUAL else UNKNOWN if not verdicts else verdicts[0])
    return same_for_all(verdicts)


def compare_mixed(a, b):
    if a[0] in SCALARS and b[0] in ("list", "matrix") or b[0] in SCALARS and a[0] in ("list", "matrix"):
        items = (b if a[0] in SCALARS else a)
        if items[0] == "list" and all(n[0] in SCALARS for n in items[1]):
            return UNEQUAL
        return UNKNOWN
    values = as_values(a), as_values(b)
    if values != (a, b) and all(v[0] in SCALARS for v in values) and "rel" in (a[0], b[0]):
        return compare_nodes(*values)
    if is_set(a) and is_set(b) and "list" not in (a[0], b[0]):
        return compare_sets(a, b)
    return UNKNOWN


known_readings = functools.lru_cache(maxsize=4096)(readings)


def compare_texts(gold, other):
    """EQUAL, UNEQUAL or UNKNOWN for two answers in LaTeX."""
    try:
        left, right = known_readings(gold), readings(other)
        return same_for_all(compare_nodes(x, y) for x in left for y in right)
    except (Unread, IndexError, RecursionError, OverflowError, ZeroDivisionError):
        return UNKNOWN

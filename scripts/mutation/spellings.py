"""Other spellings of the same answer: texts for the box, or whole responses. They must be accepted.

Each keeps the meaning by construction; those that compute (an order, an expanded product) are kept only where the evaluator
agrees that they are equal.
"""
import re

from .compare import compare_texts
from .numbers import EQUAL, UNEQUAL
from .latex import BARE_QUANTITY, COUNTED, TEXT, Unread, readings, tokens
from .mutations import rebuilt, top_elements

ACCENT = re.compile(r"\\(?:dot|ddot|hat|vec|bar|overline|phantom|text|mbox|mathrm)(?![a-z])|,\\!")
STYLED = re.compile(r"\\(?:text|mathrm|mbox|operatorname)\s*\{")


def respaced(text, space):
    """Space between any two tokens that may have it; not inside numbers and words, and two numbers never run together.
    The space of 1, 234 stays: 1,234 would be a number."""
    if text.count("$") > 2 or ACCENT.search(text):
        return text
    parts = [p for p in tokens(re.sub(r",\s+(?=\d{3})", ",~", text)) if not p.isspace()]
    out = ""
    for before, part in zip([""] + parts, parts):
        out += gap(before, part, space) + ("" if part == "~" else part)
    return out


def gap(before, part, space):
    if part == "~" or runs_together(before, part):
        return " "
    return "" if before == "~" or belongs_together(before, part) else space


def runs_together(before, part):
    name = before.startswith("\\") and before[1:].isalpha()
    return name and part[:1].isalpha() or before[-1:].isdigit() and part[:1].isdigit()


def belongs_together(before, part):
    return before in ("", "_", "^", "\\left", "\\right", "'", ",", ";") or before[:2] == "\\b" or part in ("_", "^", "'", "!", ",", ".", ";")


def wide(text):
    return [respaced(text, " ")]


def thin(text):
    return [respaced(text, "\\,")]


def tight(text):
    return [respaced(text, "")]


def no_space_commands(text):
    """Gold answers hold \\! and \\, here and there; a plain space does the same, inside a number none."""
    return [re.sub(r"\\[,!;:]\s*", "", text)] if re.search(r"\\[,!;:]", text) else []


def sized_brackets(text):
    if "\\left" in text or not re.search(r"[(\[]", text) or "\\sqrt[" in text:
        return [re.sub(r"\\(?:left|right)(?![a-z])\s*", "", text)] if "\\left" in text else []
    left, right = re.sub(r"(\\\{|[(\[])", r"\\left\1", text), None
    right = re.sub(r"(\\\}|[)\]])", r"\\right\1", left)
    return [right] if right.count("\\left") == right.count("\\right") and "\\text" not in text and "\\begin" not in text else []


def fraction_styles(text):
    plain = re.sub(r"\\[dtc]frac", r"\\frac", text)
    return [plain.replace("\\frac", new) for new in ("\\frac", "\\dfrac", "\\tfrac")] if "\\frac" in plain else []


def short_fraction(text):
    return [re.sub(r"(\\[dt]?frac)\s*\{(\d)\}\s*\{(\d)\}", r"\1\2\3", text)]


def braced_fraction(text):
    return [re.sub(r"(\\[dt]?frac)\s*(\d)\s*(\d)", r"\1{\2}{\3}", text)]


def braced_exponent(text):
    return [re.sub(r"\^\s*(\w)(?!\w)", r"^{\1}", text), re.sub(r"([\^_])\s*\{(\w)\}", r"\1\2", text)]


def slash(text):
    return [re.sub(r"\\[dt]?frac\s*\{(\d+)\}\s*\{(\d+)\}", r"\1/\2", text)] if re.fullmatch(r"\$?-?\\[dt]?frac\s*\{\d+\}\s*\{\d+\}\$?", text) else []


def sign_of_fraction(text):
    return [re.sub(r"^-\s*(\\[dt]?frac)\s*\{(\d+)\}", r"\1{-\2}", text)]


def aliases(text):
    pairs = [("\\le", "\\leq"), ("\\leq", "\\leqslant"), ("\\leq", "≤"), ("\\ge", "\\geq"), ("\\geq", "\\geqslant"), ("\\geq", "≥"), ("\\ne", "\\neq"), ("\\infty", "∞"),
             ("\\pi", "π"), ("\\cup", "∪"), ("-", "−"), ("\\cdot", "\\times"), ("\\{", "\\lbrace "), ("\\}", "\\rbrace "), ("pmatrix", "bmatrix"), ("\\cdot", "·")]
    found = []
    for old, new in pairs:
        if old == "\\cdot" and new == "\\times" and re.search(r"\\(?:vec|nabla|mathbf|boldsymbol|bm|overrightarrow)(?![a-z])", text):
            continue  # of vectors these are two products
        if old in text and text.count("$") != 1:
            found.append(re.sub(re.escape(old) + ("(?![a-z])" if old[-1].isalpha() else ""), lambda m, n=new: n, text))
    return [f for f in found if f != text and not TEXT.search(text)]


def explicit_product(text):
    """2x as 2\\cdot x, but for letters that are digits, as in 3A_{16}, or belong to a time, as in 11:59 PM, or are a unit or its words."""
    if COUNTED.fullmatch(text) or TEXT.search(text) or BARE_QUANTITY.fullmatch(text) or re.search(r"\d:\d\d", text) or re.search(r"\\(?:begin|sin|cos|tan|ln|log|sec|csc|cot)(?![a-z])|\d[eE]", text):
        return []
    product = re.sub(r"(?<![\w.^_{,!\\])(\d+)\s*(?=[a-zA-Z]|\\(?:sqrt|pi)(?![a-z]))(?!e\d)", r"\1\\cdot ", text)
    return [product] if compare_texts(text, product) != UNEQUAL else []


def plus_sign(text):
    return ["+" + text] if re.fullmatch(r"\d+(\.\d+)?", text) else []


def trailing_zero(text):
    return [text + ("0" if "." in text else ".0")] if re.fullmatch(r"-?\d+(\.\d+)?", text) else []


def leading_zero(text):
    return [text[1:]] if re.fullmatch(r"0\.\d+", text) else []


def thousands(text):
    if not re.fullmatch(r"-?\d{4,}", text):
        return []
    grouped = f"{int(text):,}"
    return [grouped, grouped.replace(",", "{,}"), grouped.replace(",", "\\,"), grouped.replace(",", ",\\!")] if text == str(int(text)) else []


def words_style(text):
    return [STYLED.sub(lambda m, n=new: n + "{", text) for new in ("\\text", "\\textbf", "\\textrm", "\\mbox")] if STYLED.search(text) else []


def added_unit(text):
    """A unit may stand on one side only."""
    return [text + "\\text{ cm}", text + "\\,\\mathrm{kg}", text + "\\text{ students}"] if re.fullmatch(r"-?\d+(\.\d+)?", text) else []


def dropped_unit(text):
    match = re.fullmatch(r"(-?\d+(?:\.\d+)?)\s*\\text\{ *(?:cm|meters|km|hours|minutes|kg|apples|square units|students|ways)\}", text)
    return [match.group(1)] if match else []


def top_terms(text):
    """The signed terms of a sum that stands alone, or []."""
    depth, terms, current = 0, [], ""
    for part in tokens(text.strip("$ ")):
        depth += part in ("(", "[", "{", "\\{", "\\left") or part.startswith("\\begin")
        depth -= part in (")", "]", "}", "\\}", "\\right") or part.startswith("\\end")
        if part in ("+", "-") and depth == 0 and current.strip() and current.strip()[-1] not in "^_=<>":
            terms.append(current.strip())
            current = ""
        current += part
    terms.append(current.strip())
    plain = re.compile(r"[=<>,;:|&]|\\(?:text|pm|le|ge|in|cup|mbox|approx|ne|to|begin)(?![a-z])|\\boxed")
    return terms if len(terms) > 1 and not plain.search(text) else []


def checked(text, found):
    return [f for f in found if f != text and compare_texts(text, f) == EQUAL]


def order_of_sum(text):
    terms = top_terms(text)
    if not terms:
        return []
    signed = [t if t[0] in "+-" else "+" + t for t in terms]
    return checked(text, ["".join(s).lstrip("+") for s in (signed[::-1], signed[1:] + signed[:1])])


def expanded_product(text):
    """a(b+c) as ab+ac, of a number or letter and a bracket."""
    match = re.fullmatch(r"\$?(-?(?:\d+|[a-ehj-oq-z]))\s*\(([^()]*)\)\$?", text.strip())
    terms = top_terms(match.group(2)) if match else []
    if not terms:
        return []
    factor = match.group(1)
    return checked(text, ["".join(("-" if t[0] == "-" else "+") + f"({factor})({t.lstrip('+-')})" for t in terms).lstrip("+")])


def factored_out(text):
    return checked(text, ["\\frac{2(" + text.strip("$ ") + ")}{2}", "(" + text.strip("$ ") + ")+1-1"]) if top_terms(text) else []


def swapped_sides(text):
    match = re.fullmatch(r"([^=<>\\]+)(=|<|>|\\leq?(?![a-z])|\\geq?(?![a-z]))([^=<>\\,]+)", text.strip("$ "))
    if not match or "," in text:
        return []
    turned = {"=": "=", "<": ">", ">": "<", "\\le": "\\ge", "\\leq": "\\geq", "\\ge": "\\le", "\\geq": "\\leq"}[match.group(2)]
    return [match.group(3).strip() + " " + turned + " " + match.group(1).strip()]


def is_ambiguous(text):
    """100,200 is a number or a list."""
    try:
        return len(readings(text)) > 1
    except (Unread, IndexError):
        return True


def order_of_list(text):
    found = top_elements(text)
    if found is None or found[0] not in ("", "\\{") or text.count("$") > 2 or "\\!" in text or is_ambiguous(text):
        return []
    if any(re.search(r"[<>=]|\\(?:[lg]eq?|[lg]t|ne)(?![a-z])", element) for element in found[1]):
        return []  # "2x, x > 1" is a value and its condition
    return checked(text, [rebuilt(found, found[1][::-1])])


def root_as_power(text):
    return checked(text, [re.sub(r"\\sqrt\s*\{(\d+)\}", r"(\1)^{1/2}", text)]) if not TEXT.search(text) else []


def in_group(text):
    return ["{" + text + "}"] if "$" not in text and not text.endswith(".") and "\\approx" not in text else []


BOXED = {f.__name__: f for f in (
    wide, thin, tight, no_space_commands, sized_brackets, fraction_styles, short_fraction, braced_fraction, braced_exponent, slash, sign_of_fraction, aliases,
    explicit_product, plus_sign, trailing_zero, leading_zero, thousands, words_style, order_of_sum, expanded_product, factored_out, swapped_sides, order_of_list,
    root_as_power, in_group, added_unit, dropped_unit)}
# Responses; %s is the answer.
RESPONSES = {"box": "$\\boxed{%s}$", "period in the box": "So it is $\\boxed{%s.}$", "dollars in the box": "So it is \\boxed{$%s$}.", "display": "Hence\n\\[\\boxed{%s}\\]",
             "nested boxes": "$\\boxed{\\boxed{%s}}$", "spaces in the box": "$\\boxed{ %s }$", "lines in the box": "$$\\boxed{\n%s\n}$$", "fbox": "\\fbox{$%s$}",
             "display style": "$\\boxed{\\displaystyle %s}$", "bold": "**Answer: $\\boxed{%s}$**", "answer tag": "<answer>\\boxed{%s}</answer>",
             "thought": "<think>Maybe $\\boxed{770}$.</think>So $\\boxed{%s}$.", "earlier box": "First $\\boxed{770}$. That was too large, so it is $\\boxed{%s}$.",
             "dollar dollar": "$$\\boxed{%s}$$"}

"""Reads an answer in LaTeX into a small tree of tuples, for the evaluator of the tests.

It shares nothing with the verifier under test. It reads less, and what it does not read for certain raises Unread: the
pair then counts as undecided.
"""
import re
from fractions import Fraction

TOKEN = re.compile(
    r"\\(?:begin|end)\s*\{[a-z]+\*?\}(?:\{[clr|]+\})?"
    r"|\\(?:text(?:bf|it|rm|sf|tt|normal)?|mbox|mathrm|mathbf|mathit|operatorname|mathbb|mathcal)\s*\{[^{}]*\}"
    r"|\\[A-Za-z]+|\\.|\d+(?:(?:,\\!|\{,\}|\\,)\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?[eE][+-]?\d+"
    r"|\d+\.\d+|\.\d+|\d+|\s+|.", re.S)
SPACES = {"\\,", "\\;", "\\:", "\\!", "\\ ", "~", "\\quad", "\\qquad", "\\left", "\\right", "\\big", "\\Big", "\\bigl", "\\bigr",
          "\\displaystyle", "\\limits", "$", "\\(", "\\)", "\\[", "\\]", "\\thinspace"}
SAME = {"\\dfrac": "\\frac", "\\tfrac": "\\frac", "\\cfrac": "\\frac", "\\leq": "\\le", "\\geq": "\\ge", "\\leqslant": "\\le",
        "\\geqslant": "\\ge", "\\neq": "\\ne", "≤": "\\le", "≥": "\\ge", "≠": "\\ne", "\\lt": "<", "\\gt": ">", "−": "-",
        "\\times": "*", "\\cdot": "*", "×": "*", "·": "*", "\\div": "/", "÷": "/", "\\lbrace": "\\{", "\\rbrace": "\\}", "\\lbrack": "[",
        "\\rbrack": "]", "\\vert": "|", "\\lvert": "|", "\\rvert": "|", "\\mid": "|", "\\dots": "\\ldots", "\\cdots": "\\ldots",
        "\\degree": "\\circ", "∞": "\\infty", "π": "\\pi", "∪": "\\cup", "\\dbinom": "\\binom", "\\tbinom": "\\binom", "\\arctan": "\\atan",
        "\\arcsin": "\\asin", "\\arccos": "\\acos", "\\varepsilon": "\\epsilon", "\\varphi": "\\phi", "\\vartheta": "\\theta"}
FUNCTIONS = {"sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan", "sinh", "cosh", "tanh", "ln", "log", "exp"}
RELATIONS = {"=", "<", ">", "\\le", "\\ge", "\\ne", "\\in", "\\notin", "\\approx", "\\equiv", "\\sim", "\\to", "\\subset", "\\subseteq"}
GREEK = set("alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi omega Gamma Delta "
            "Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega hbar ell".split())
TEXT = re.compile(r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|mbox|mathrm|mathbf|mathit|operatorname)\s*\{([^{}]*)\}")
ACCENTS = {"\\vec", "\\hat", "\\bar", "\\dot", "\\ddot", "\\overline", "\\tilde", "\\widehat", "\\overrightarrow"}
CLOSERS = {"(": (")", "]"), "[": ("]", ")"), "\\{": ("\\}",), "{": ("}",)}


class Unread(Exception):
    pass


def tokens(text):
    """All tokens with spaces; "".join gives the text back."""
    return TOKEN.findall(text)


def words_of(token):
    found = TEXT.fullmatch(token)
    return found.group(1) if found else None


def strip_answer(text):
    text = text.strip()
    text = re.sub(r"\\boxed\s*\{(.*)\}", r"\1", text, flags=re.S)
    return text.rstrip(". ") if not text.endswith("\\ ") else text


BARE_WORD = re.compile(TEXT.pattern + r"|(?<![\\A-Za-z{])([A-Za-z]{4,})(?![A-Za-z}])")


# A number and what it counts, "3/4 cup", "18 miles per hour", and words whose case says nothing. To the reader their letters would be factors.
COUNTED = re.compile(r"\s*\d+(?:[./]\d+)? [a-z]{2,}(?:[ /][a-z]+)*\s*|(?i:yes|no|true|false)")
BARE_QUANTITY = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s+([mgsLJWNVAK]|(?i:min|sec|hr|in|ft|yd|oz|lb))\s*")


def plain_words(raw):
    """Runs of four and more bare letters are words, shorter ones products of symbols; behind a number and a space a letter
    may be a unit, and short units of two or three letters, such as min and in, are the same in any case."""
    if quantity := BARE_QUANTITY.fullmatch(raw):
        unit = quantity.group(2)
        return f"{quantity.group(1)}\\text{{ {unit.lower() if len(unit) > 1 else unit}}}"
    return BARE_WORD.sub(lambda m: m.group() if m.group(2) is None or m.group(2) in FUNCTIONS else "\\text{" + m.group(2) + "}", raw)


class Parser:
    def __init__(self, text):
        raw = [SAME.get(t, t) for t in tokens(plain_words(strip_answer(text)))]
        self.tokens = [t for t in raw if not t.isspace() and t not in SPACES]
        self.at = 0

    def peek(self, ahead=0):
        i = self.at + ahead
        return self.tokens[i] if i < len(self.tokens) else ""

    def take(self, expected=None):
        token = self.peek()
        if not token or (expected is not None and token != expected):
            raise Unread(f"{expected} expected, {token!r} found")
        self.at += 1
        return token

    def answer(self):
        node = self.list_until("")
        if self.peek():
            raise Unread("left over: " + self.peek())
        return node

    def list_until(self, *ends):
        items = [self.element(ends)]
        while self.separator():
            if self.peek() in ends:
                raise Unread("empty element")
            items.append(self.element(ends))
        return items[0] if len(items) == 1 else ("list", items)

    def separator(self):
        found = False
        while self.peek() in (",", ";", "，") or (words_of(self.peek()) or "").strip(" ,") in ("and", "or") or words_of(self.peek()) in (", ", ","):
            self.at += 1
            found = True
        return found

    def element(self, ends):
        parts = []
        while self.peek() and self.peek() not in ends and self.peek() not in (",", ";", "&", "\\\\", ")", "]", "}", "\\}"):
            word = words_of(self.peek())
            if word is not None and word.strip(" ,") in ("and", "or"):
                break
            if word is None and self.peek() == "-" and words_of(self.peek(1)) is not None:
                parts.append(("sign", self.take()))
            elif word is not None:
                self.at += 1
                parts.append(("words", " ".join(word.split())))
                if self.peek() in RELATIONS:
                    parts.append(("sign", self.take()))
            else:
                parts.append(self.relation())
        if not parts:
            raise Unread("empty")
        return parts[0] if len(parts) == 1 else ("seq", parts)

    def relation(self):
        sides, relations = [self.sets()], []
        while self.peek() in RELATIONS:
            relations.append(self.take())
            sides.append(self.sets())
        return sides[0] if not relations else ("rel", sides, relations)

    def sets(self):
        node = self.sum()
        while self.peek() in ("\\cup", "\\cap", "\\setminus"):
            node = ("setop", self.take(), node, self.sum())
        return node

    def sum(self):
        terms = [self.signed()]
        while self.peek() in ("+", "-", "\\pm", "\\mp"):
            terms.append(self.signed())
        return terms[0] if len(terms) == 1 else ("add", terms)

    def signed(self):
        sign = self.peek()
        if sign in ("+", "-", "\\pm", "\\mp"):
            self.at += 1
            inner = self.signed() if self.peek() in ("+", "-") else self.product()
            return {"+": inner, "-": ("neg", inner), "\\pm": ("pm", 1, inner), "\\mp": ("pm", -1, inner)}[sign]
        return self.product()

    def product(self):
        node = self.power()
        while True:
            token = self.peek()
            if token in ("*", "/", ":"):
                self.at += 1
                right = self.signed_factor()
                node = {"*": ("mul", node, right), "/": ("div", node, right), ":": ("ratio", node, right)}[token]
            elif self.starts_factor():
                right = self.power()
                mixed = node[0] == "num" and right[0] == "div" and right[1][0] == right[2][0] == "num" and right[3:] == ("frac",)
                if mixed and (node[1].denominator != 1 or right[1][1] >= right[2][1]):
                    raise Unread("number before a fraction")
                if right[0] == "num" and node[0] == "num":
                    raise Unread("number behind a number")
                node = ("add", [node, right]) if mixed else ("mul", node, right)
            else:
                return node

    def signed_factor(self):
        if self.peek() in ("-", "+"):
            return ("neg", self.signed_factor()) if self.take() == "-" else self.signed_factor()
        return self.power()

    def starts_factor(self):
        token = self.peek()
        if not token or words_of(token) is not None:
            return False
        return (token[0].isdigit() or token[0] == "." and len(token) > 1 or token.isalpha() or token in ("(", "[", "{", "\\{", "\\$")
                or token in ACCENTS or token[:1] == "\\" and token[1:] in GREEK | FUNCTIONS
                or token in ("\\frac", "\\sqrt", "\\pi", "\\infty", "\\binom", "\\lfloor", "\\lceil"))

    def power(self):
        node = self.postfix(self.primary())
        if self.peek() == "^":
            self.take()
            if self.peek() == "\\circ":
                self.take()
                return ("unit", "degree", node)
            if self.tokens[self.at:self.at + 3] == ["{", "\\circ", "}"]:
                self.at += 3
                return ("unit", "degree", node)
            node = self.postfix(("pow", node, self.exponent()))
        return node

    def exponent(self):
        if self.peek() == "-":
            self.take()
            return ("neg", self.exponent())
        return self.argument()

    def argument(self):
        """What \\frac and ^ take: a group or one token, of a number without braces the first digit (the whole for ^)."""
        if self.peek() == "{":
            self.take()
            node = self.relation()
            self.take("}")
            return node
        return self.primary()

    def digit(self):
        token = self.peek()
        if token[:1].isdigit() and len(token) > 1:
            if not token.isdigit():
                raise Unread(token)
            self.tokens[self.at:self.at + 1] = [token[0], token[1:]]
        return self.argument()

    def postfix(self, node):
        while self.peek() in ("!", "\\%", "%", "'"):
            token = self.take()
            node = ("fact", node) if token == "!" else ("sym", name_of(node) + "'") if token == "'" else ("unit", "percent", node)
        return node

    def subscript(self):
        if self.peek() != "_":
            return ""
        self.take()
        if self.peek() != "{":
            return "_" + self.take()
        depth, start = 0, self.at
        while True:
            depth += {"{": 1, "}": -1}.get(self.take(), 0)
            if depth == 0:
                return "_" + "".join(self.tokens[start + 1:self.at - 1])

    def primary(self):
        token = self.take()
        numeral = self.numeral(token)
        if numeral:
            return numeral
        if token[0].isdigit() or token[0] == "." and len(token) > 1:
            return self.number(token)
        if token.isalpha() and len(token) == 1:
            return self.named(token)
        if token in ("(", "[", "\\{", "{"):
            return self.bracket(token)
        if token == "|":
            node = self.relation()
            self.take("|")
            return ("abs", node)
        if token[0] == "\\":
            return self.command(token)
        raise Unread(token)

    def numeral(self, token):
        """3A_{16}: digits and letters up to a base that they fit. In base 16 the case of a letter does not count; elsewhere small
        letters are symbols."""
        digits, end = token, self.at
        while end < len(self.tokens) and (self.tokens[end].isdigit() or re.fullmatch("[A-Za-z]", self.tokens[end])):
            digits += self.tokens[end]
            end += 1
        if end >= len(self.tokens) or self.tokens[end] != "_" or not digits.isalnum() or len(digits) < 2:
            return None
        start, self.at = self.at, end
        base = self.subscript().strip("_")
        case = digits.upper() == digits or base == "16"
        if base.isdigit() and 2 <= int(base) <= 36 and case and all(int(digit, 36) < int(base) for digit in digits):
            return ("based", int(base), Fraction(int(digits, int(base))))
        self.at = start
        return None

    def number(self, token):
        digits = token.replace(",\\!", "").replace("{,}", "").replace("\\,", "")
        base = self.subscript().strip("_")
        if not base:
            return ("num", Fraction(digits))
        if not base.isdigit() or not 2 <= int(base) <= 10 or not digits.isdigit() or any(int(d) >= int(base) for d in digits):
            raise Unread("base")
        return ("based", int(base), Fraction(int(digits, int(base))))

    def named(self, letter):
        name = letter + self.subscript()
        while self.peek() == "'":
            name += self.take()
        if name in ("e", "i"):
            return ("const", name)
        return ("sym", name)

    def bracket(self, opener):
        if opener == "\\{" and self.peek() == "\\}":
            self.take()
            return ("set", [])
        inner = self.list_until(*CLOSERS[opener])
        closer = self.take()
        if closer not in CLOSERS[opener]:
            raise Unread("bracket")
        if opener == "\\{":
            return ("set", inner[1] if inner[0] == "list" else [inner])
        if opener == "{" or inner[0] != "list":
            if opener + closer in ("(]", "[)"):
                raise Unread("bracket")
            return inner
        return ("group", opener, closer, inner[1])

    def command(self, token):
        name = token[1:]
        if name == "frac":
            return ("div", self.digit(), self.digit(), "frac")
        if name == "binom":
            return ("binom", self.digit(), self.digit())
        if name == "sqrt":
            return self.root()
        if name in ("pi", "infty"):
            return ("const", "pi" if name == "pi" else "inf")
        if name in GREEK:
            return self.named_greek(name)
        if name in FUNCTIONS:
            return self.function(name)
        if token in ACCENTS:
            return ("sym", name + ":" + name_of(self.argument()) + self.subscript())
        if name in ("lfloor", "lceil"):
            node = self.relation()
            self.take("\\rfloor" if name == "lfloor" else "\\rceil")
            return ("fn", name[1:], node)
        if name == "$":
            return ("unit", "money", self.power())
        if name in ("emptyset", "varnothing"):
            return ("set", [])
        if token.startswith("\\mathbb"):
            return ("sym", token.replace(" ", ""))
        if token.startswith("\\begin"):
            return self.matrix(token)
        raise Unread(token)

    def named_greek(self, name):
        node = self.named("x")
        return ("sym", name + node[1][1:])

    def root(self):
        index = ("num", Fraction(2))
        if self.peek() == "[":
            self.take()
            index = self.sum()
            self.take("]")
        return ("root", index, self.digit())

    def function(self, name):
        base = self.function_base()
        power = None
        if self.peek() == "^":
            self.take()
            power = self.exponent()
        if self.peek() in ("(", "{"):
            argument = self.power()
        else:
            argument = self.power()
            while self.starts_factor() and self.peek()[1:] not in FUNCTIONS and self.peek() not in ("(", "["):
                argument = ("mul", argument, self.power())
        if power == ("neg", ("num", Fraction(1))):
            return ("fn", "a" + name, argument, base)
        node = ("fn", name, argument, base)
        return node if power is None else ("pow", node, power)

    def function_base(self):
        if self.peek() != "_":
            return None
        self.take()
        return self.argument()

    def matrix(self, token):
        kind = re.search(r"\{([a-z]+\*?)\}", token).group(1)
        if kind not in ("pmatrix", "bmatrix", "array", "matrix"):
            raise Unread(token)
        rows = [[]]
        while True:
            rows[-1].append(self.element(("&", "\\\\", "\\end{" + kind + "}")))
            token = self.take()
            if token == "\\\\" and self.peek() != "\\end{" + kind + "}":
                rows.append([])
            elif token != "&":
                break
        if token == "\\\\":
            token = self.take()
        if not token.startswith("\\end"):
            raise Unread("matrix")
        return ("matrix", rows)


def name_of(node):
    if node[0] == "sym":
        return node[1]
    if node[0] == "mul":
        return name_of(node[1]) + "." + name_of(node[2])
    if node[0] == "const":
        return node[1]
    raise Unread("name")


def parse(text):
    return Parser(text).answer()


def readings(text):
    """The trees the text may mean: 12,345 is a number and a list of two."""
    joined = re.sub(r"(?<![\d.,])(\d{1,3}(?:,\s?\d{3})+)(?![\d,])", lambda m: re.sub(r",\s?", "", m.group()), text)
    found = []
    for form in dict.fromkeys((text, joined)):
        try:
            found.append(parse(form))
        except Unread:
            pass
    if not found:
        raise Unread(text)
    return found

"""Random answers of every kind, so that the tests need no data set: (kind, LaTeX)."""

LETTERS = "abcdkmnprstuvwxyz"
UNITS = ["cm", "meters", "km", "hours", "minutes", "kg", "apples", "square units", "students", "ways"]
WORDS = ["Tuesday", "ellipse", "increasing", "even", "blue", "parabola", "yes", "north"]
FUNCTIONS = ["\\sin", "\\cos", "\\tan", "\\ln"]


class Generator:
    def __init__(self, rng):
        self.rng = rng
        self.kinds = [name[3:] for name in dir(self) if name.startswith("of_")]

    def answers(self, count):
        """`count` answers, the kinds in turn."""
        return [(kind, getattr(self, "of_" + kind)()) for kind in (self.kinds[i % len(self.kinds)] for i in range(count))]

    def integer(self, low=2, high=99):
        return self.rng.randint(low, high)

    def signed(self, high=60):
        return self.rng.choice(["", "-"]) + str(self.integer(2, high))

    def letter(self):
        return self.rng.choice(LETTERS)

    def fraction(self):
        return self.rng.choice(["\\frac{%d}{%d}", "\\dfrac{%d}{%d}"]) % (self.integer(1, 40), self.integer(2, 30))

    def radical(self):
        return f"{self.integer(2, 9)}\\sqrt{{{self.rng.choice([2, 3, 5, 6, 7, 11, 13])}}}"

    def scalar(self):
        return self.rng.choice([lambda: self.signed(), self.fraction, self.radical, lambda: f"{self.integer(2, 20)}\\pi"])()

    def coefficient(self):
        return self.rng.choice([str(self.integer(2, 9)), self.fraction()])

    def polynomial(self, x):
        signs = [self.rng.choice("+-") for _ in range(2)]
        return f"{self.integer(2, 9)}{x}^{self.rng.choice([2, 3, 4])} {signs[0]} {self.integer(2, 9)}{x} {signs[1]} {self.integer(1, 30)}"

    def of_integer(self):
        return self.rng.choice([self.signed(9999), str(self.integer(0, 9)), str(self.integer(1000, 10 ** 9)), f"{self.integer(1000, 10 ** 7):,}".replace(",", "{,}")])

    def of_decimal(self):
        return f"{self.signed()}.{self.integer(1, 999)}"

    def of_scientific(self):
        return f"{self.integer(1, 9)}.{self.integer(1, 99)} \\times 10^{{{self.signed(12)}}}"

    def of_fraction(self):
        return self.rng.choice(["", "-"]) + self.fraction()

    def of_mixed_number(self):
        bottom = self.integer(3, 12)
        return f"{self.integer(1, 20)}\\frac{{{self.integer(1, bottom - 1)}}}{{{bottom}}}"

    def of_radical(self):
        return self.rng.choice([f"{self.integer()} {self.rng.choice('+-')} {self.radical()}", f"\\frac{{{self.integer()}+{self.radical()}}}{{{self.integer(2, 9)}}}",
                                f"\\sqrt[3]{{{self.integer()}}}", self.radical()])

    def of_constant(self):
        return self.rng.choice([f"{self.fraction()}\\pi", f"{self.integer()}{self.rng.choice('+-')}{self.integer(2, 9)}\\pi", f"e^{{{self.integer(2, 5)}}}",
                                f"\\ln {self.integer()}", f"\\log_{self.integer(2, 9)} {self.integer()}", f"{self.integer(5, 12)}!", f"\\binom{{{self.integer(8, 20)}}}{{3}}",
                                f"2^{{{self.integer(30, 200)}}}"])

    def of_complex(self):
        return f"{self.signed()} {self.rng.choice('+-')} {self.integer(2, 20)}i"

    def of_polynomial(self):
        return self.polynomial(self.letter())

    def of_product(self):
        x = self.letter()
        return f"{self.integer(2, 9)}({x}{self.rng.choice('+-')}{self.integer(1, 9)})({x}{self.rng.choice('+-')}{self.integer(1, 9)})"

    def of_letters(self):
        a, b, c, d = self.rng.sample(LETTERS, 4)
        return self.rng.choice([f"{a}{b}-{c}{d}", f"{a}^2+{a}{b}+{b}^2", f"-({a}{b}+{b}{c}+{c}{a})", f"{a}{b}", f"\\frac{{{a}{b}}}{{{a}+{b}}}", f"\\sqrt{{{a}^2+{b}^2}}"])

    def of_rational_function(self):
        x = self.letter()
        return f"\\frac{{{self.polynomial(x)}}}{{{x}{self.rng.choice('+-')}{self.integer(1, 9)}}}"

    def of_function(self):
        x = self.letter()
        return self.rng.choice([f"{self.integer(2, 9)}{self.rng.choice(FUNCTIONS)}({self.integer(2, 9)}{x})", f"{self.integer(2, 9)}e^{{-{self.integer(2, 9)}{x}}}",
                                f"2^{{{x}-{self.integer(1, 9)}}}", f"\\sqrt{{{x}+{self.integer()}}}", f"{x}^{{{self.integer(2, 9)}}}e^{{{x}}}", f"|{x}-{self.integer()}|"])

    def of_pieces(self):
        n, k = self.rng.choice("nmx"), self.integer(2, 40)
        return self.rng.choice([f"\\lfloor\\frac{{{n}}}{{{k}}}\\rfloor", f"\\lceil\\frac{{{n}+{self.integer(1, 9)}}}{{{k}}}\\rceil", f"|{n}-{k}|", f"|{n}+{k}|-{self.integer()}",
                                f"{k}{n}-\\lfloor \\sqrt{{{n}}}\\rfloor"])

    def of_power_of_count(self):
        return f"{self.integer(2, 9)}^{{n+{self.integer(1, 9)}}} - {self.integer(2, 9)}n"

    def of_equation(self):
        return self.rng.choice([f"y = {self.integer(2, 9)}x {self.rng.choice('+-')} {self.integer()}", f"x^2 + y^2 = {self.integer()}",
                                f"{self.integer(2, 9)}x {self.rng.choice('+-')} {self.integer(2, 9)}y - {self.integer()} = 0", "F = -kx", f"f(x) = {self.polynomial('x')}"])

    def of_named_value(self):
        return f"{self.letter()} = {self.scalar()}"

    def of_labelled_list(self):
        a, b = self.rng.sample(LETTERS, 2)
        return f"{a}={self.signed()}, {b}={self.signed()}"

    def of_inequality(self):
        x = self.letter()
        low = self.integer(1, 40)
        return self.rng.choice([f"{x} {self.rng.choice(['<', '>', chr(92) + 'le', chr(92) + 'ge'])} {self.signed()}", f"{low} < {x} \\le {low + self.integer()}"])

    def of_interval(self):
        low = self.integer(-40, 40)
        left, right = self.rng.choice("(["), self.rng.choice(")]")
        return self.rng.choice([f"{left}{low}, {low + self.integer()}{right}", f"(-\\infty, {low}{right}", f"{left}{low}, \\infty)"])

    def of_union(self):
        low = self.integer(-40, 10)
        return f"(-\\infty, {low}{self.rng.choice(')]')} \\cup {self.rng.choice('([')}{low + self.integer()}, \\infty)"

    def distinct(self, count):
        return self.rng.sample(range(-60, 100), count)

    def of_set(self):
        return "\\{" + ", ".join(map(str, self.distinct(self.rng.randint(2, 4)))) + "\\}"

    def of_list(self):
        return ", ".join(map(str, self.distinct(self.rng.randint(2, 4))))

    def of_tuple(self):
        return "(" + ", ".join([*map(str, self.distinct(2)), self.scalar()][:self.rng.randint(2, 3)]) + ")"

    def of_points(self):
        a = self.distinct(4)
        return f"({a[0]}, {a[1]}), ({a[2]}, {a[3]})"

    def of_plus_minus(self):
        return f"{self.rng.choice(['', str(self.integer())])} \\pm {self.radical()}".strip()

    def of_matrix(self):
        rows, columns = self.rng.choice([(2, 2), (2, 1), (3, 1), (3, 3)])
        body = " \\\\ ".join(" & ".join(self.signed() for _ in range(columns)) for _ in range(rows))
        return f"\\begin{{pmatrix}} {body} \\end{{pmatrix}}"

    def of_ratio(self):
        return f"{self.integer(2, 30)}:{self.integer(31, 60)}"

    def of_quantity(self):
        return f"{self.rng.choice([str(self.integer()), self.fraction(), f'{self.integer()}.5'])}\\text{{ {self.rng.choice(UNITS)}}}"

    def of_money(self):
        return f"\\${self.integer()}.{self.integer(10, 99)}"

    def of_percent(self):
        return f"{self.integer()}\\%"

    def of_angle(self):
        return f"{self.integer(10, 170)}^\\circ"

    def of_base(self):
        return "".join(self.rng.choice("1234") for _ in range(4)) + f"_{self.integer(5, 9)}"

    def of_choice(self):
        return self.rng.choice(["%s", "\\text{(%s)}", "\\text{%s}", "(%s)"]) % self.rng.choice("ABCDE")

    def of_words(self):
        return f"\\text{{{self.rng.choice(WORDS)}}}"

    def of_words_with_value(self):
        return f"\\text{{slope}} = {self.signed()}"

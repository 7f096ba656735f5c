"""Changes of an answer that are never right unless mathematics says so, each a list of texts or of whole responses."""
import re

from .latex import COUNTED, TEXT, tokens, words_of

RELATIONS = ["=", "<", ">", "\\le", "\\leq", "\\ge", "\\geq", "\\ne", "\\neq", "\\in", "\\notin"]
MULTIPLIERS = ["hundredths", "thirds", "thousand", "million", "dozen", "tenths"]


def replaced(parts, index, *new):
    return "".join(parts[:index]) + "".join(new) + "".join(parts[index + 1:])


def joined(left, new, right):
    """A command's name must not run into the letter behind it."""
    return left + new + (" " if new[-1:].isalpha() and new[:1] == "\\" and right[:1].isalpha() else "") + right


def in_words(parts, index):
    return words_of(parts[index]) is not None


def opens_operand(parts, index):
    before = next((p for p in reversed(parts[:index]) if p.strip()), "")
    return before in ("", "(", "[", "{", ",", "=", "<", ">", "\\le", "\\ge", "\\{", "&", "\\\\", "^", ";", "|", "$")


def flip_sign(text):
    parts = tokens(text)
    found = []
    for i, part in enumerate(parts):
        if part in ("-", "+"):
            found.append(replaced(parts, i, "-" if part == "+" else "" if opens_operand(parts, i) else "+"))
        elif part[0].isdigit() and opens_operand(parts, i):
            found.append(replaced(parts, i, "-" + part))
        elif part in ("\\frac", "\\dfrac", "\\sqrt", "\\pi") and opens_operand(parts, i):
            found.append(replaced(parts, i, "-" + part))
        elif in_words(parts, i):
            found += [replaced(parts, i, part.replace("-", "+"))] if re.search(r"\d-\d", part) else []
    return found + ([] if text.lstrip(" $").startswith("-") else [signed(text)])


def signed(text):
    body = text.strip()
    return "$-" + body[1:] if body.startswith("$") else "-" + body


def change_digit(text):
    parts = tokens(text)
    found = []
    for i, part in enumerate(parts):
        for j, char in enumerate(part):
            if char.isdigit():
                for step in (1, 5):
                    found.append(replaced(parts, i, part[:j] + str((int(char) + step) % 10) + part[j + 1:]))
    return found


def drop_digit(text):
    return [text[:m.start()] + text[m.start() + 1:] for m in re.finditer(r"\d(?=\d)|(?<=\d)\d", text)]


def repeat_digit(text):
    return [text[:m.end()] + m.group() + text[m.end():] for m in re.finditer(r"\d", text)]


def swap_relation(text):
    parts = tokens(text)
    return [joined("".join(parts[:i]), new, "".join(parts[i + 1:])) for i, p in enumerate(parts) if p in RELATIONS for new in ("<", "\\le", ">", "\\ge", "\\ne", "=")
            if new != p]


def drop_factor(text):
    parts = tokens(text)
    found = [replaced(parts, i) for i, p in enumerate(parts) if p in ("\\pi", "i", "e") or p.isalpha() and len(p) == 1]
    found += [replaced(parts, i) for i, p in enumerate(parts) if p[0].isdigit() and i + 1 < len(parts)]
    return found + [text[:m.start()] + text[m.end():] for m in re.finditer(r"\\sqrt\{?\d+\}?|\(([^()]*)\)", text)]


def drop_root(text):
    return [text[:m.start()] + m.group(1) + text[m.end():] for m in re.finditer(r"\\sqrt\s*(\{[^{}]*\}|\d)", text)]


def drop_exponent(text):
    return [text[:m.start()] + text[m.end():] for m in re.finditer(r"\^\s*(?:\{[^{}]*\}|-?\w)", text)]


def change_exponent(text):
    return [text[:m.start()] + "^{" + new + "}" + text[m.end():] for m in re.finditer(r"\^\s*(?:\{([^{}]*)\}|(\w))", text)
            for new in ("-(" + (m.group(1) or m.group(2)) + ")", (m.group(1) or m.group(2)) + "+1") if "circ" not in m.group()]


def drop_postfix(text):
    return [text[:m.start()] + text[m.end():] for m in re.finditer(r"!|'|\\%", text)]


def add_postfix(text):
    return [text[:m.end()] + new + text[m.end():] for m in re.finditer(r"\d+(?![\d.,}])", text) for new in ("!", "^2")]


def change_operator(text):
    parts = tokens(text)
    swap = {"+": ["\\cdot "], "-": ["\\cdot "], "\\cdot": ["+"], "\\times": ["+", "/"], "/": ["\\cdot ", "+"], "\\cup": ["\\cap"], "\\pm": ["+", "-"],
            "\\mp": ["+", "-"], "^": ["\\cdot ", "_"]}
    found = [joined("".join(parts[:i]), new, "".join(parts[i + 1:])) for i, p in enumerate(parts) for new in swap.get(p, [])]
    return found + [text[:m.start()] + "\\binom" + text[m.end():] for m in re.finditer(r"\\d?frac", text)]


def swap_fraction(text):
    return [text[:m.start()] + f"{m.group(1)}{{{m.group(3)}}}{{{m.group(2)}}}" + text[m.end():]
            for m in re.finditer(r"(\\[dt]?frac)\s*\{([^{}]*)\}\s*\{([^{}]*)\}", text)]


def drop_denominator(text):
    return [text[:m.start()] + "{" + m.group(1) + "}" + text[m.end():] for m in re.finditer(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{[^{}]*\}", text)]


def change_function(text):
    other = {"sin": "cos", "cos": "sin", "tan": "cot", "ln": "exp", "log": "exp", "arctan": "tan", "arcsin": "arccos", "arccos": "arcsin", "lfloor": "lceil"}
    return [text[:m.start()] + "\\" + other[m.group(1)] + text[m.end():] for m in re.finditer(r"\\([a-z]+)(?![a-z])", text) if m.group(1) in other]


# Functions with pieces: a step moved, the other rounding, an absolute value without its bars. {} is the argument.
PIECES = ((r"\\lfloor(?![a-z])(.*?)\\rfloor", ("(\\lceil {}\\rceil-1)", "\\lfloor {}-\\frac{1}{12}\\rfloor", "\\lfloor {}+\\frac{1}{12}\\rfloor")),
          (r"\\lceil(?![a-z])(.*?)\\rceil", ("(\\lfloor {}\\rfloor+1)", "\\lceil {}-\\frac{1}{12}\\rceil", "\\lceil {}+\\frac{1}{12}\\rceil")),
          (r"\|([^|]+)\|", ("({})", "(-({}))")))


def change_piece(text):
    return [text[:m.start()] + new.replace("{}", m.group(1)) + text[m.end():] for pattern, changed in PIECES for m in re.finditer(pattern, text) for new in changed]


def other_case(text):
    words = re.search(r"(?<![\\a-zA-Z])[a-z]{4,}", text)
    if choice_letter(text) or COUNTED.fullmatch(text) or words:
        return []
    parts = tokens(text)
    # SymPy prints i as I.
    return [replaced(parts, i, p.swapcase()) for i, p in enumerate(parts) if len(p) == 1 and p.isalpha() and p.isascii() and p != "i"] + \
        [text[:m.start()] + m.group(1) + m.group(2).swapcase() + text[m.end():] for m in
         re.finditer(r"(\\)(?=(?:omega|delta|phi|psi|theta|gamma|sigma|lambda)(?![a-z]))(\w)", text)]


def other_symbol(text):
    parts = tokens(text)
    return [replaced(parts, i, new) for i, p in enumerate(parts) if len(p) == 1 and p.isalpha() and p.isascii() and p not in "ei" for new in "zq" if new != p]


def top_elements(text):
    """Splits at the commas of the outermost brackets: (before, elements, after), or None."""
    if ";" in text.replace("\\;", ""):
        return None
    if re.search(r",[^,]*\\in(?![a-z])", text):  # a value and what its parameter is: no list
        return None
    body = re.sub(r"\\(?:left|right)(?![a-z])\s*", "", text.strip().strip("$")).strip()
    match = re.fullmatch(r"((?:[A-Za-z]\s*(?:=|\\in)\s*)?(?:\(|\[|\\\{)|)(.*?)(\)|\]|\\\}|)", body, re.S)
    depth, elements, current = 0, [], ""
    for part in tokens(match.group(2)):
        depth += part in ("(", "[", "\\{", "{") or part.startswith("\\begin")
        depth -= part in (")", "]", "\\}", "}") or part.startswith("\\end")
        if depth < 0:
            return split_flat(body)
        if part == "," and depth == 0:
            elements.append(current)
            current = ""
        else:
            current += part
    elements.append(current)
    return (match.group(1), elements, match.group(3)) if len(elements) > 1 and bool(match.group(1)) == bool(match.group(3)) else split_flat(body)


def split_flat(body):
    depth, elements, current = 0, [], ""
    for part in tokens(body):
        depth += part in ("(", "[", "\\{", "{")
        depth -= part in (")", "]", "\\}", "}")
        if part == "," and depth == 0:
            elements.append(current)
            current = ""
        else:
            current += part
    return ("", elements + [current], "") if elements else None


def rebuilt(found, elements):
    return found[0] + ", ".join(e.strip() for e in elements) + found[2]


def exchange_pair(text):
    found = top_elements(text)
    if found is None:
        return []
    e = found[1]
    return [rebuilt(found, e[:i] + [e[i + 1], e[i]] + e[i + 2:]) for i in range(len(e) - 1)]


def delete_element(text):
    found = top_elements(text)
    return [] if found is None else [rebuilt(found, found[1][:i] + found[1][i + 1:]) for i in range(len(found[1]))]


def duplicate_element(text):
    found = top_elements(text)
    return [] if found is None else [rebuilt(found, found[1][:i] + [found[1][i]] + found[1][i:]) for i in range(len(found[1]))]


def add_element(text):
    found = top_elements(text)
    extra = "78" if text == "77" else "77"  # a value that is repeated word for word is that value
    return [f"{text}, {extra}", f"{extra}, {text}"] if found is None else [rebuilt(found, found[1] + ["77"]), rebuilt(found, ["0"] + found[1])]


def swap_bracket(text):
    parts = tokens(text)
    other = {"(": "[", "[": "(", ")": "]", "]": ")", "\\{": "(", "\\}": ")"}
    found = [replaced(parts, i, other[p]) for i, p in enumerate(parts) if p in ("(", "[", ")", "]")]
    return found + [text.translate(str.maketrans("()[]", "[]()"))] if found else []


def swap_entries(text):
    parts = tokens(text)
    marks = [i for i, p in enumerate(parts) if p in ("&", "\\\\")]
    swapped = [replaced(parts, i, "\\\\" if parts[i] == "&" else "&") for i in marks]
    rows = re.split(r"\\\\", text[text.find("}") + 1:text.rfind("\\end")]) if "\\begin{" in text else []
    if len(rows) > 1:
        swapped.append(text[:text.find("}") + 1] + "\\\\".join(rows[::-1]) + text[text.rfind("\\end"):])
    return swapped


def shift_point(text):
    found = [text[:m.start()] + new + text[m.end():] for m in re.finditer(r"(\d*)\.(\d)(\d*)", text)
             for new in (m.group(1) + m.group(2) + ("." + m.group(3) if m.group(3) else ""), m.group(1) + m.group(2) + m.group(3))]
    return found + [text[:m.start()] + m.group(1) + "." + m.group(2) + text[m.end():] for m in re.finditer(r"(?<![\d.,_^])(\d)(\d+)(?![\d.,])", text)]


def comma_for_point(text):
    if re.fullmatch(r"\$?(?:0|\d{4,}),\d{2,}\$?", text):  # 0,75 and 1000,99 are decimals and no lists
        return []
    return [text[:m.start()] + "." + text[m.end():] for m in re.finditer(r"(?<=\d),\s*(?=\d)", text)]


def shift_end(text):
    """One bound moved by one."""
    return [text[:m.start()] + str(int(m.group()) + step) + text[m.end():] for m in re.finditer(r"(?<![\d.^_{])\d+(?=\s*[,)\]}])|(?<=[(\[{,])\d+", text)
            for step in (1,)]


def value_word(text):
    return [text + "\\text{ " + word + "}" for word in MULTIPLIERS]


def drop_words(text):
    return [text[:m.start()] + text[m.end():] for m in TEXT.finditer(text) if m.group(1).strip()]


def change_base(text):
    return [text[:m.start()] + "_" + str(int(m.group(1)) + 1 if int(m.group(1)) < 9 else 7) + text[m.end():] for m in re.finditer(r"(?<=\d)_\{?(\d+)\}?", text)]


def add_term(text):
    return [text + "+1", text + "-1", "1+" + text, "2 " + text if text[:1] != "-" and not text[:1].isdigit() else text + "\\cdot 2", text + "+x"]


def second_choice(letter):
    other = "C" if letter == "B" else "B"
    return [f"({letter}) ({other})", f"\\text{{{letter} or {other}}}", f"\\text{{({letter}) and ({other})}}", f"\\text{{{letter}. or {other}.}}",
            f"{letter}, {other}", f"{letter}/{other}", f"{letter}{other}", f"{letter}\\ {other}", f"({letter}),({other})", f"\\text{{not {letter}}}",
            f"\\text{{({letter}) is wrong}}", f"\\text{{({letter}) is not right}}", f"\\lnot {letter}", f"\\text{{all but {letter}}}",
            f"\\text{{neither ({letter}) nor ({other})}}", f"\\text{{({other}) not ({letter})}}", f"\\text{{({letter}) and ({other}) both}}",
            f"\\text{{{letter}-{other}}}", other, f"\\text{{{letter.lower()} bird}}"]


# The oracle decides for these: texts for the box.
DECIDED = {f.__name__: f for f in (
    flip_sign, change_digit, drop_digit, repeat_digit, swap_relation, drop_factor, drop_root, drop_exponent, change_exponent, drop_postfix, add_postfix,
    change_operator, swap_fraction, drop_denominator, change_function, change_piece, other_case, other_symbol, exchange_pair, delete_element, duplicate_element, add_element,
    swap_bracket, swap_entries, shift_point, comma_for_point, shift_end, value_word, drop_words, change_base, add_term)}


# Never right whatever the oracle says: texts for the box.
def deny_words(text):
    match = re.fullmatch(r"\$?\\text\{\s*([A-Za-z]{4,})\s*\}\$?", text)
    return [f"\\text{{{new % match.group(1)}}}" for new in ("not %s", "never %s", "%s or another", "%s and another", "neither %s", "not a %s")] if match else []


def choice_letter(text):
    match = re.fullmatch(r"\$?\(?(?:\\text\{)?\(?([A-J])\)?\}?\)?\$?", text)
    return match and match.group(1)


def other_choices(text):
    letter = choice_letter(text)
    return second_choice(letter) if letter else []


OTHER_UNIT = {"cm": "m", "meters": "cm", "km": "miles", "miles": "feet", "feet": "inches", "inches": "cm", "hours": "minutes", "minutes": "seconds",
              "days": "hours", "kg": "grams", "dollars": "cents", "cents": "dollars", "square units": "cubic units", "square feet": "feet",
              "square inches": "inches", "degrees": "radians", "gallons": "liters", "apples": "pears", "students": "teachers"}


def change_unit(text):
    """Another unit of the same number; of zero nothing is known."""
    if not re.search("[1-9]", text):
        return []
    found = [text[:m.start()] + "\\text{ " + OTHER_UNIT[m.group(1).strip()] + "}" + text[m.end():] for m in TEXT.finditer(text)
             if m.group(1).strip() in OTHER_UNIT]
    return found + [text[:m.start(1)] + new + text[m.end():] for m in re.finditer(r"\\(?:text|mbox|mathrm)\{ *(?:cm|m|units|inches|feet)\}(\^\{?[23]\}?)", text)
                    for new in ("", "^7")]


CLAIMED = {f.__name__: f for f in (deny_words, other_choices, change_unit)}

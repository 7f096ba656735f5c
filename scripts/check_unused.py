#!/usr/bin/env python3
"""Finds functions of the headers that the program itself never uses: they serve nobody, or only tests.

A function counts as used when its name stands anywhere in include/ and src/ besides its declaration and its definition. So none
that is used is ever named, and a few unused ones are missed: those that share their name with another. What is kept for a reason
is listed in KEPT. Prints FILE:LINE: what, and exits 1; else prints a count and exits 0. Usage: check_unused.py [ROOT]
"""

import collections
import pathlib
import re
import sys

# name -> why it stays although only tests, or programs of others, call it.
KEPT = {
    "free_keys": "docs/faq.md lists them, and a test compares",
    "use_functions": "the kernels of older processors have to be tested on newer ones",
}

COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
WORD = re.compile(r"[A-Za-z_]\w*")
PARAMETERS = r"\((?:[^();{}]|\([^();{}]*\))*\)"
# A type, a name, parameters and then the end of a declaration or the body of an inline definition.
FUNCTION = re.compile(rf"^[^\S\n]*(?!return\b|throw\b|else\b|using\b|GRPO_)(?:[\w:<>,*&\[\] ]+[\w>*&]\s+[*&]?)(\w+){PARAMETERS}"
                      r"\s*(?:const\b|noexcept\b|override\b|\s)*(;|\{)", re.MULTILINE)


def blanked(text):
    """Without comments; strings stay, because what is looked up in a library at run time is named in one."""
    return COMMENT_OR_STRING.sub(lambda m: m.group() if m.group()[0] == '"' else re.sub(r"[^\n]", " ", m.group()), text)


def unused(root):
    """(path, line, name) of each function without a use."""
    texts = {path: blanked(path.read_text(encoding="utf-8", errors="replace"))
             for folder in ("include", "src") for path in sorted((root / folder).rglob("*"))
             if path.suffix in (".h", ".cuh", ".cpp", ".cu")}
    words = collections.Counter(word for text in texts.values() for word in WORD.findall(text))
    for path, text in texts.items():
        if path.suffix != ".h":
            continue
        for match in FUNCTION.finditer(text):
            name, end = match.groups()
            own = 2 if end == ";" and " = 0" not in match.group() else 1
            if words[name] <= own and not name.startswith("__"):
                yield path, text.count("\n", 0, match.start(1)) + 1, name


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent
    if not (root / "include").is_dir():
        sys.exit(f"{root}: no sources below include")
    found = list(unused(root))
    names = {name for _, _, name in found}
    problems = [f"{path.relative_to(root)}:{line}: {name}: only tests call it, or nobody" for path, line, name in found if name not in KEPT]
    problems += [f"scripts/check_unused.py: {name}: is used, or gone; strike it from KEPT" for name in KEPT if name not in names and root.samefile(
        pathlib.Path(__file__).resolve().parent.parent)]
    print("\n".join(problems) or f"every function of the headers is used; {len(names)} are kept for tests")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

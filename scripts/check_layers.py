#!/usr/bin/env python3
"""Holds the arrows of the module map (docs/architecture.md): which module may include which, and a few rules on headers:
they include what they use of the standard library and of LibTorch, and a source includes its own header first. (The build's
precompiled header holds both libraries, so that the compiler would not miss them; what a header lacks of ours it does miss.)

Prints each violation as FILE:LINE: what, and exits 1; else prints a count and exits 0. Usage: check_layers.py [ROOT]
"""

import pathlib
import re
import sys

# module -> the modules it may include. What those may include, it may include too.
USES = {
    "base": [],
    "config": ["base"],
    "metrics": ["base", "io"],
    "io": ["base"],
    "kernels": ["base"],
    "tokenizer": ["base", "io"],
    "verifier": ["base"],
    "reward": ["verifier", "io", "base"],
    "nn": ["base", "kernels"],
    "algo": ["base"],
    "dist": ["base"],
    "optim": ["dist", "base"],
    "models": ["nn", "kernels", "io", "base"],
    "data": ["io", "base"],
    "rollout": ["models", "nn", "kernels", "base"],
    "checkpoint": ["models", "optim", "dist", "data", "io", "base"],
    "update": ["algo", "models", "optim", "dist", "nn", "kernels", "base"],
    "trainer": ["config", "metrics", "tokenizer", "reward", "algo", "rollout", "checkpoint", "update"],
    "report": ["base", "io"],
    "app": ["trainer", "report"],
}
WITHOUT_TORCH = {"base", "config", "metrics", "io", "tokenizer", "verifier", "reward", "data", "report"}

HEADERS = {".h", ".hpp", ".cuh"}
SOURCES = HEADERS | {".cpp", ".cc", ".cu"}

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
PRAGMA_ONCE = re.compile(r"^\s*#\s*pragma\s+once\b", re.MULTILINE)
PARALLEL_FOR = re.compile(r"\bat::parallel_(for|reduce)\b")
PARALLEL_SOURCE = pathlib.Path("src/kernels/parallel.cpp")  # the one that is compiled with OpenMP
GRPO_MODULE = re.compile(r"grpo_module\(\s*(\w+)(.*?)\)", re.DOTALL)
CMAKE_KEYWORDS = {"SOURCES", "USES", "LINKS", "TORCH"}

WHOLE_TORCH = {"torch/torch.h", "torch/all.h", "torch/extension.h", "torch/script.h"}
TORCH = re.compile(r"^(ATen|torch|c10)/")
CUDA = re.compile(r"^(cuda|cublas|cudnn|curand|cusparse|cusolver|nvtx|nvToolsExt)\w*\.(h|hpp|cuh)$"
                  r"|^(cuda|cub|thrust|nvtx3|flashinfer|cooperative_groups)(/|\.h$)"
                  r"|^(ATen|c10|torch/csrc)/cuda/|^device_launch_parameters\.h$")
# What a header that names std::NAME includes itself.
STANDARD = {
    "array": ["array"], "atomic": ["atomic"], "chrono": ["chrono"], "condition_variable": ["condition_variable"],
    "cstddef": ["byte"], "deque": ["deque"], "exception": ["exception", "exception_ptr"], "filesystem": ["filesystem"],
    "functional": ["function", "hash"], "future": ["future", "promise"], "limits": ["numeric_limits"], "map": ["map", "multimap"],
    "memory": ["make_shared", "make_unique", "shared_ptr", "unique_ptr", "weak_ptr"], "mutex": ["lock_guard", "mutex", "unique_lock"],
    "optional": ["nullopt", "optional"], "set": ["multiset", "set"], "span": ["span"], "sstream": ["istringstream", "ostringstream"],
    "stdexcept": ["invalid_argument", "logic_error", "out_of_range", "runtime_error"], "string": ["string", "to_string"],
    "string_view": ["string_view"], "thread": ["this_thread", "thread"], "tuple": ["tie", "tuple"], "unordered_map": ["unordered_map"],
    "unordered_set": ["unordered_set"], "utility": ["exchange", "move", "pair", "swap"],
    "variant": ["get_if", "holds_alternative", "variant", "visit"], "vector": ["vector"]}
HEADER_OF = {f"std::{name}": header for header, names in STANDARD.items() for name in names}
STANDARD_NAME = re.compile(r"\bstd::\w+|\bu?int(?:8|16|32|64)_t\b")
TORCH_NAME = re.compile(r"\b(?:at|c10)::")
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')
NCCL = re.compile(r"^nccl\w*\.h$|/nccl\.h$|ProcessGroupNCCL\.hpp$")


def closure(module):
    reached = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(USES[name])
    return reached


REACHES = {module: closure(module) for module in USES}


def without_comments(text):
    """Blanks comments, keeping line numbers and strings (an include's name is one)."""

    def blank(match):
        found = match.group()
        return found if found.startswith('"') else re.sub(r"[^\n]", " ", found)

    return COMMENT_OR_STRING.sub(blank, text)


def arrow_violation(module, target):
    if target in REACHES[module]:
        return None
    if target in ("config", "metrics"):
        return f"{module} may not include {target}: only trainer and app do"
    allowed = ", ".join(sorted(REACHES[module] - {module})) or "none"
    return f"{module} may not include {target} (it may include: {allowed})"


def grpo_violation(module, is_public, include, root):
    """An include of one of our own headers."""
    parts = include.split("/")
    if ".." in parts:
        return f"{include}: name it from the root (\"grpo/<module>/...\" or \"<module>/...\")"
    if parts[0] == "grpo" and len(parts) > 2:
        target = parts[1]
        if target not in USES:
            return f"{include}: {target} is not in the module map"
        if target == "app":
            return "app has no public headers" if module != "app" else None
        return arrow_violation(module, target)
    if parts[0] in USES and len(parts) > 1 and (root / "src" / include).is_file():
        if is_public:
            return f"{include}: a public header may not include a private one"
        if parts[0] != module:
            return f"{include} is private to {parts[0]}; include a header of include/grpo/{parts[0]}"
    return None


def library_violation(module, is_public, include):
    """An include of LibTorch, CUDA or NCCL."""
    if include in WHOLE_TORCH:
        return f"{include}: include what is used, e.g. ATen/ATen.h (compile time)"
    if module in WITHOUT_TORCH and TORCH.match(include):
        return f"{include}: {module} needs no LibTorch"
    for name, pattern, homes in (("CUDA", CUDA, {"kernels"}), ("NCCL", NCCL, {"kernels", "dist"})):
        if not pattern.search(include):
            continue
        if is_public:
            return f"{include}: {name} stays in sources"
        if module not in homes:
            return f"{include}: {name} headers belong in {' and '.join(sorted(homes))}"
    return None


def lacking_includes(text):
    """What a header uses of the standard library and LibTorch, but includes only by way of others: (line, what)."""
    lines = text.splitlines()
    included = {match.group(1) for match in map(INCLUDE.match, lines) if match}
    missing = {}
    for number, line in enumerate(lines, start=1):
        if INCLUDE.match(line):
            continue
        code = STRING.sub('""', line)
        for name in STANDARD_NAME.findall(code):
            header = HEADER_OF.get(name, None if name.startswith("std::") else "cstdint")
            if header and header not in included:
                missing.setdefault(header, (number, f"{name}: a header includes what it uses: <{header}>"))
        if TORCH_NAME.search(code) and not any(TORCH.match(include) for include in included):
            missing.setdefault("ATen", (number, "a header that names LibTorch's types includes one of its headers"))
    return sorted(missing.values())


def own_header(path, root):
    """How the source `path` names the header of its name, or None where there is none."""
    inside = path.relative_to(root / "src").with_suffix(".h")
    if (root / "src" / inside).is_file():
        return inside.as_posix()
    return f"grpo/{inside.as_posix()}" if (root / "include" / "grpo" / inside).is_file() else None


def check_source(path, module, is_public, root):
    text = without_comments(path.read_text(encoding="utf-8", errors="replace"))
    if path.suffix in HEADERS and not PRAGMA_ONCE.search(text):
        yield 1, "no #pragma once"
    if path.suffix == ".h":
        yield from lacking_includes(text)
    own = own_header(path, root) if path.suffix == ".cpp" else None
    first = next((match for match in map(INCLUDE.match, text.splitlines()) if match), None)
    if own and (first is None or first.group(1) != own):
        yield 1, f"{own} is to be the first include: so the compiler shows that it needs no other before it"
    for number, line in enumerate(text.splitlines(), start=1):
        if PARALLEL_FOR.search(line) and path != root / PARALLEL_SOURCE:
            yield number, f"at::parallel_for runs on one thread without OpenMP: use what {PARALLEL_SOURCE} offers"
        match = INCLUDE.match(line)
        if not match:
            continue
        include = match.group(1)
        problem = grpo_violation(module, is_public, include, root) or library_violation(module, is_public, include)
        if problem:
            yield number, problem


def words_after(keyword, arguments):
    """The words of a CMake call from `keyword` up to the next one."""
    words = []
    inside = False
    for word in arguments.split():
        if word in CMAKE_KEYWORDS:
            inside = word == keyword
        elif inside:
            words.append(word)
    return words


def check_cmake(path, module):
    """What a module links must be an arrow too."""
    text = re.sub(r"#[^\n]*", "", path.read_text(encoding="utf-8"))
    for call in GRPO_MODULE.finditer(text):
        number = text.count("\n", 0, call.start()) + 1
        name, arguments = call.groups()
        if name != module:
            yield number, f"src/{module} defines the module {name}"
            continue
        for target in words_after("USES", arguments):
            problem = (arrow_violation(name, target) if target in USES else f"{target} is not in the module map")
            if problem:
                yield number, "USES: " + problem
        if name in WITHOUT_TORCH and "TORCH" in arguments.split():
            yield number, f"TORCH: {name} needs no LibTorch"


def modules_in(folder):
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def check(root):
    """Yields (path, line, what) and, last, the number of files as an int."""
    count = 0
    for folder in modules_in(root / "include" / "grpo") + modules_in(root / "src"):
        module = folder.name
        is_public = folder.parent.name == "grpo"
        if module not in USES:
            yield folder, 1, f"{module} is not in the module map"
            continue
        for path in sorted(folder.rglob("*")):
            if path.name == "CMakeLists.txt":
                problems = check_cmake(path, module)
            elif path.suffix in SOURCES:
                problems = check_source(path, module, is_public, root)
            else:
                continue
            count += 1
            for line, what in problems:
                yield path, line, what
    yield count


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent
    *violations, count = check(root)
    for path, line, what in violations:
        print(f"{path.relative_to(root)}:{line}: {what}")
    if count == 0:
        print(f"{root}: no sources below include/grpo and src")
    else:
        print(f"{count} files, {len(violations)} violations of the module map")
    return 1 if violations or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Compiles each header that no source includes first, alone: it must need nothing before it.

All others are shown by the build itself, since a source includes its own header first (scripts/check_layers.py). A header is
compiled with the options of a source that includes it, behind LibTorch's tensors, which are precompiled here once: that a header
includes them itself check_layers.py asks. Prints the compiler's errors, and exits 1; else prints a count and exits 0.
Usage: check_headers.py BUILD, with BUILD/compile_commands.json
"""

import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"][^">]+)[">]', re.MULTILINE)


def included_by(path):
    """What a file includes, in order: our own headers, and None for those of libraries."""
    names = INCLUDE.findall(path.read_text(encoding="utf-8", errors="replace"))
    return [name[1:] if name[0] == '"' else None for name in names]


def headers():
    """Every header as sources name it."""
    for folder in (ROOT / "include", ROOT / "src"):
        for path in sorted(folder.rglob("*.h")):
            yield path.relative_to(folder).as_posix(), path


def source_for(header, users, commands):
    """A compiled source that includes the header, by way of other headers if need be; None where none does."""
    waiting, seen = [header], set()
    while waiting:
        for user in users.get(waiting.pop(0), ()):
            if user in seen:
                continue
            seen.add(user)
            if user in commands:
                return user
            for folder in ("include", "src"):
                if user.startswith(str(ROOT / folder) + "/"):
                    waiting.append(pathlib.Path(user).relative_to(ROOT / folder).as_posix())
    return None


def compile_entries(build):
    """The entry of each compiled source by its path; sources that are compiled as one (GRPO_UNITY) get an entry each."""
    entries = {}
    for entry in json.loads(pathlib.Path(build, "compile_commands.json").read_text(encoding="utf-8")):
        file = pathlib.Path(entry["file"])
        sources = INCLUDE.findall(file.read_text(encoding="utf-8")) if file.parent.name == "Unity" else [f'"{file}']
        entries.update({source[1:]: {**entry, "file": source[1:]} for source in sources if source.endswith(".cpp")})
    return entries


def options_of(command):
    """The compiler and its options in a command, without the build's own precompiled header."""
    words = shlex.split(command)
    words = words[:words.index("-o")]
    while "-include" in words:
        del words[words.index("-include"):words.index("-include") + 2]
    return [word for word in words if word not in ("-Winvalid-pch", "-fpch-preprocess")] + ["-O0"]


def precompile_tensors(entry, scratch):
    """A header of LibTorch's tensors, precompiled where a source's options find them; its name."""
    header = pathlib.Path(scratch, "tensors.h")
    header.write_text("#include <ATen/core/Tensor.h>\n", encoding="utf-8")
    subprocess.run([*options_of(entry["command"]), "-x", "c++-header", str(header), "-o", f"{header}.gch"], cwd=entry["directory"], check=True)
    return str(header)


def compiles(header, entry, tensors):
    """What the compiler says of a source that includes the header alone; empty where it says nothing."""
    behind = ["-include", tensors] if "torch/include" in entry["command"] else []
    with tempfile.TemporaryDirectory() as scratch:
        source = pathlib.Path(scratch, "header.cpp")
        source.write_text(f'#include "{header}"\n', encoding="utf-8")
        done = subprocess.run([*options_of(entry["command"]), *behind, "-fsyntax-only", str(source)], cwd=entry["directory"],
                              capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


def main():
    commands = compile_entries(sys.argv[1])
    users, first = {}, set()
    for path in [*ROOT.glob("include/**/*.h"), *ROOT.glob("src/**/*.h"), *map(pathlib.Path, commands)]:
        names = included_by(path) if path.is_relative_to(ROOT) else []
        first.update(names[:1] if str(path) in commands else ())
        for name in filter(None, names):
            users.setdefault(name, []).append(str(path))
    alone = [(name, source_for(name, users, commands)) for name, _ in headers() if name not in first]
    left_out = [name for name, source in alone if source is None]  # of sources that this build leaves out, as CUDA's
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool, tempfile.TemporaryDirectory() as scratch:
        tensors = precompile_tensors(commands[str(ROOT / "src/rollout/engine.cpp")], scratch)
        said = list(pool.map(lambda pair: compiles(pair[0], commands[pair[1]], tensors), [pair for pair in alone if pair[1]]))
    print("\n".join(filter(None, said)), end="")
    print(f"{len(said)} headers compiled alone, {len(list(filter(None, said)))} of them not; " + (
        f"no source of this build includes {', '.join(left_out)}" if left_out else "all others are first in their source"))
    return 1 if any(said) else 0


if __name__ == "__main__":
    sys.exit(main())

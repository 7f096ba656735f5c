#!/usr/bin/env python3
"""Runs clang-tidy, with the checks of .clang-tidy, on the sources that differ from the branch they will be merged into.

Differs: since HEAD left main (origin/main where there is one), or not committed; a header counts by a source that includes it. On
main itself there is nothing to compare with but what is not committed. Exit 1 where clang-tidy complains, 77 (which ctest counts as
skipped) where clang-tidy or git is missing, or where more than --most sources would have to be looked at: each takes seconds.
Usage: tidy.py BUILD [--most N] [FILE...], with BUILD/compile_commands.json
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys

from check_headers import compile_entries, options_of

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def git(*words):
    done = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def changed():
    """Files below src and include that differ from the merge base, and those that git does not know yet."""
    if git("rev-parse", "HEAD") is None:
        skip("this is no git checkout")
    bases = [git("merge-base", "HEAD", branch) for branch in ("origin/main", "main")]
    base = next(filter(None, bases), "HEAD")
    names = git("diff", "--name-only", "--diff-filter=d", base, "--", "src", "include") or ""
    new = git("ls-files", "--others", "--exclude-standard", "--", "src", "include") or ""
    return sorted(set((names + "\n" + new).split()))


def sources_of(files, compiled):
    """The compiled sources among `files`, and for each header one source that includes it."""
    sources = [name for name in files if name in compiled]
    for header in (name for name in files if name.endswith(".h")):
        spelled = header.removeprefix("include/").removeprefix("src/")
        includers = (name for name in compiled if spelled in INCLUDE.findall((ROOT / name).read_text(encoding="utf-8", errors="replace")))
        sources += [name for name in [next(includers, None)] if name]
    return sorted(set(sources))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("files", nargs="*", help="sources to look at instead of those that changed")
    parser.add_argument("--most", type=int)
    options = parser.parse_args()
    tidy = shutil.which("clang-tidy") or skip("clang-tidy is not installed (scripts/setup.sh --tests installs it)")
    shutil.which("git") or options.files or skip("git is not installed")
    entries = {str(pathlib.Path(file).relative_to(ROOT)): entry for file, entry in compile_entries(options.build).items()
               if pathlib.Path(file).is_relative_to(ROOT / "src")}
    sources = options.files or sources_of(changed(), entries)
    if options.most is not None and len(sources) > options.most:
        skip(f"{len(sources)} sources changed, more than {options.most}; scripts/tidy.py {options.build} looks at all of them")
    failed = 0
    for name in sources:
        result = subprocess.run([tidy, "--quiet", "--warnings-as-errors=*", str(ROOT / name), "--", *options_of(entries[name]["command"])[1:]], cwd=entries[name]["directory"],
                                capture_output=True, text=True, check=False)
        print(result.stdout, end="")
        failed += result.returncode != 0
    print(f"clang-tidy complains of {failed} of {len(sources)} sources")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

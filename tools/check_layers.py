#!/usr/bin/env python3
"""Proves the layering: a folder includes only itself and the folders above it (docs/architecture.md).

Also: AsmJit is visible in jit/ only, Zydis in cpu/decode/ and jit/ only, includes are from the repository's root and
name files that exist, every header has #pragma once and every file begins with a comment that says what it is.
"""

import pathlib
import re
import sys

# Each folder and what it may include besides itself.
LAYERS = {
    "base": set(),
    "memory": {"base"},
    "cpu": {"base", "memory"},
    "devices": {"base", "memory"},
    "jit": {"base", "memory", "cpu"},
    "machine": {"base", "memory", "cpu", "devices", "jit"},
    "control": {"base", "memory", "cpu", "devices", "jit", "machine"},
}
ALL = set(LAYERS)
UNRESTRICTED = {"tests": ALL | {"tests"}, "bench": ALL | {"bench", "tests"}, "tools": ALL | {"tools", "tests"}}
LIBRARIES = {
    "asmjit/": ("jit/",),
    "Zydis/": ("cpu/decode/", "jit/"),
    "toml++/": ("machine/config_toml.cpp",),
    "CLI/": ("control/cli_options.cpp",),
}
# What the build makes; included by name alone.
GENERATED = {"dsdt_minimal.hex", "dsdt_q35.hex"}
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)


def check_file(root: pathlib.Path, path: pathlib.Path) -> list[str]:
    name = path.relative_to(root).as_posix()
    folder = name.split("/")[0]
    allowed = LAYERS.get(folder, set()) | {folder} if folder in LAYERS else UNRESTRICTED[folder]
    text = path.read_text(encoding="utf-8")
    problems = []

    def problem(offset: int, what: str) -> None:
        problems.append(f"{name}:{text.count(chr(10), 0, offset) + 1}: {what}")

    for match in INCLUDE.finditer(text):
        quote, target = match.groups()
        for library, homes in LIBRARIES.items():
            if target.startswith(library) and folder in LAYERS and not name.startswith(homes):
                problem(match.start(), f"'{target}' may be included in {', '.join(homes)} only")
        if quote != '"':
            continue
        if "/" not in target and target in GENERATED:
            continue
        target_folder = target.split("/")[0]
        if target_folder not in allowed:
            problem(match.start(), f"{folder}/ must not include '{target}'")
        elif not (root / target).is_file() and not text.startswith("// needs:"):
            problem(match.start(), f"'{target}' is not a file below the repository's root")
    if path.suffix == ".h" and "#pragma once" not in text:
        problem(0, "no #pragma once")
    # A .cpp beside its header needs no second header comment.
    if not text.startswith(("//", "#", "/*")) and not (path.suffix == ".cpp" and path.with_suffix(".h").is_file()):
        problem(0, "begins with no comment that says what it is")
    return problems


def main() -> int:
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()
    problems = []
    count = 0
    for folder in sorted(set(LAYERS) | set(UNRESTRICTED)):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".h", ".cpp", ".inc"):
                count += 1
                problems += check_file(root, path)
    for line in problems:
        print(line)
    print(f"check_layers: {count} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

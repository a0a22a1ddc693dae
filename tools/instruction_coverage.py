#!/usr/bin/env python3
"""Lists which rows of the instruction table have which tests.

    tools/instruction_coverage.py [--silicon-rows FILE] [--untested]

silicon: the row's mnemonic stands in tests/silicon as a word, or in FILE (one mnemonic per line, as a silicon test run
can write it). guest: an assembly program in tests/guest uses the instruction. --untested prints only rows without any.
"""

import argparse
import collections
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROW = re.compile(r'^INSN\(\s*(\w+)\s*,.*"([^"]*)"\s*\)', re.M)
FAMILY = re.compile(r"^// ---- (\S+\.cpp)", re.M)
GUEST_MNEMONIC = re.compile(r"^\s*(?:\w+:\s*)?(?:(?:rep|repe|repz|repne|repnz|lock|data16|addr32)\s+)?([a-z][a-z0-9]*)\b", re.M)


def rows() -> list[tuple[str, str, str]]:
    """(mnemonic, family, manual reference) in the order of the table."""
    text = (ROOT / "cpu/isa/instructions.inc").read_text(encoding="utf-8")
    families = [(match.start(), match.group(1)) for match in FAMILY.finditer(text)]
    out = []
    for match in ROW.finditer(text):
        family = next((name for start, name in reversed(families) if start < match.start()), "?")
        out.append((match.group(1), family, match.group(2)))
    return out


def words_in(folder: str, suffixes: tuple[str, ...]) -> set[str]:
    words: set[str] = set()
    for path in sorted((ROOT / folder).rglob("*")):
        if path.suffix in suffixes:
            words |= set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", path.read_text(encoding="utf-8")))
    return words


def guest_mnemonics() -> set[str]:
    found: set[str] = set()
    for path in sorted((ROOT / "tests/guest").rglob("*.[sS]")):
        for mnemonic in GUEST_MNEMONIC.findall(path.read_text(encoding="utf-8")):
            found.add(mnemonic.upper())
            # GNU as: a size suffix.
            if mnemonic[-1] in "bwlq":
                found.add(mnemonic[:-1].upper())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--silicon-rows", type=pathlib.Path)
    parser.add_argument("--untested", action="store_true")
    arguments = parser.parse_args()
    silicon = words_in("tests/silicon", (".cpp", ".h", ".inc"))
    if arguments.silicon_rows:
        silicon |= set(arguments.silicon_rows.read_text(encoding="utf-8").split())
    guest = guest_mnemonics()
    sums: collections.Counter[str] = collections.Counter()
    for mnemonic, family, manual in rows():
        kinds = [kind for kind, where in (("silicon", silicon), ("guest", guest)) if mnemonic in where]
        sums["rows"] += 1
        sums.update(kinds)
        sums["untested"] += not kinds
        if not arguments.untested or not kinds:
            print(f"{mnemonic:<16} {family:<24} {' '.join(kinds) or '-':<14} {manual}")
    print(f"{sums['rows']} rows: {sums['silicon']} with silicon cases, {sums['guest']} in guest programs, "
          f"{sums['untested']} untested")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Lists which rows of the instruction table have which tests, or why a row has none.

    tools/instruction_coverage.py [--silicon BINARY] [--untested]

silicon: the silicon tester (BINARY, default build/release/tests/test_silicon) makes that many operand forms of the row
and they agree with the host CPU. guest: an assembly program in tests/guest uses the instruction. A row without either
shows the reason that its traits give. --untested prints only rows with neither test.
"""

import argparse
import collections
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROW = re.compile(r'^INSN\((\w+), *\w+, *\w+, *([\w |]+),.*"([^"]*)"\)', re.M)
FAMILY = re.compile(r"^// ---- (\S+\.cpp)", re.M)
GUEST_MNEMONIC = re.compile(r"^\s*(?:\w+:\s*)?(?:(?:rep|repe|repz|repne|repnz|lock|data16|addr32)\s+)?([a-z][a-z0-9]*)\b", re.M)
# The conditions' other names.
CONDITIONS = {"E": "Z", "NE": "NZ", "C": "B", "NC": "NB", "AE": "NB", "NAE": "B", "A": "NBE", "NA": "BE", "PE": "P",
              "PO": "NP", "GE": "NL", "NGE": "L", "G": "NLE", "NG": "LE"}
NOT_IN_64_BIT = set("""AAA AAS DAA DAS AAM AAD SALC BOUND PUSHA PUSHAD POPA POPAD PUSHF PUSHFD POPFD JCXZ LDS LES ARPL
INTO""".split())
REASONS = {
    "kPrivileged": "privileged, or reaches the host's kernel",
    "kOperatingSystem": "its result is the host's own state",
    "kNoSilicon": "see tests/silicon/README.md",
    "kEndsTrace": "control flow that the tester's thread cannot follow",
    "kStack": "control flow that the tester's thread cannot follow",
}


def rows() -> list[tuple[str, str, set[str], str]]:
    """(mnemonic, family, traits, manual reference) in the order of the table."""
    text = (ROOT / "cpu/isa/instructions.inc").read_text(encoding="utf-8")
    families = [(match.start(), match.group(1)) for match in FAMILY.finditer(text)]
    out = []
    for match in ROW.finditer(text):
        family = next((name for start, name in reversed(families) if start < match.start()), "?")
        out.append((match.group(1), family, set(re.findall(r"\w+", match.group(2))), match.group(3)))
    return out


def silicon_forms(binary: pathlib.Path) -> collections.Counter[str]:
    """How many forms of each mnemonic agreed, from a short run of the tester itself."""
    environment = dict(os.environ, ORRERY_SILICON_LIST="1", ORRERY_SILICON_CASES="2")
    run = subprocess.run([binary], env=environment, capture_output=True, text=True, check=False)
    return collections.Counter(re.findall(r"^ok (\w+)", run.stdout, re.M))


def guest_mnemonics() -> set[str]:
    found: set[str] = set()
    for path in sorted((ROOT / "tests/guest").rglob("*.[sSi]*")):
        for mnemonic in GUEST_MNEMONIC.findall(path.read_text(encoding="utf-8")):
            names = {mnemonic.upper()}
            if mnemonic[-1] in "bwlq":  # GNU as: a size suffix
                names.add(mnemonic[:-1].upper())
            for name in list(names):
                for prefix in ("J", "SET", "CMOV"):
                    if name.startswith(prefix) and name[len(prefix):] in CONDITIONS:
                        names.add(prefix + CONDITIONS[name[len(prefix):]])
            found |= names
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--silicon", type=pathlib.Path, default=ROOT / "build/release/tests/test_silicon")
    parser.add_argument("--untested", action="store_true")
    arguments = parser.parse_args()
    if not arguments.silicon.exists():
        sys.exit(f"instruction_coverage: '{arguments.silicon}' does not exist; build it, or name it with --silicon")
    silicon = silicon_forms(arguments.silicon)
    guest = guest_mnemonics()
    sums: collections.Counter[str] = collections.Counter()
    for mnemonic, family, traits, manual in rows():
        tests = []
        if silicon[mnemonic]:
            tests.append(f"silicon ({silicon[mnemonic]} forms)")
        if mnemonic in guest:
            tests.append("guest")
        sums["silicon"] += silicon[mnemonic] > 0
        sums["guest"] += mnemonic in guest
        sums["untested"] += not tests
        if arguments.untested and tests:
            continue
        reason = "not in 64-bit mode, where the tester runs" if mnemonic in NOT_IN_64_BIT else next((text for trait, text in REASONS.items() if trait in traits), "see tests/silicon/README.md")
        print(f"{mnemonic:<16} {family:<24} {', '.join(tests) or '- ' + reason:<58} {manual}")
    print(f"{len(rows())} rows: {sums['silicon']} with silicon cases, {sums['guest']} in guest programs, "
          f"{sums['untested']} untested")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Shows which rows and forms of the instruction table have which tests; fails if one that x86-64-v3 has is without.

    tools/instruction_coverage.py [--silicon BINARY] [--forms] [--untested] [--brief]

silicon: the silicon tester (BINARY, default build/release/tests/test_silicon) makes that many operand forms of the row
in 64-bit / 32-bit mode, and they agree with the host CPU. sequences: the row is drawn for sequences on the host CPU, in
the interpreter and in the translator. guest: an assembly program in tests/guest uses the instruction. Anything else has
a reason in REASONS, by name. --forms lists every form of the tester, too; --untested only rows without a test;
--brief only the sums and what is wrong. Where the tester skips its tests, or the host lacks forms, nothing can be said:
exit status 77.
"""

import argparse
import collections
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROW = re.compile(r'^INSN\((\w+), *\w+, *\w+, *([\w |]+),(.*)"([^"]*)"\)', re.M)
FAMILY = re.compile(r"^// ---- (\S+\.cpp)", re.M)
GUEST_MNEMONIC = re.compile(r"(?:^|[;\"])\s*(?:\w+:\s*)?(?:(?:rep|repe|repz|repne|repnz|lock|data16|addr32)\s+)?"
                            r"([a-zA-Z][a-zA-Z0-9]*)\b", re.M)
# The conditions' other names.
CONDITIONS = {"E": "Z", "NE": "NZ", "C": "B", "NC": "NB", "AE": "NB", "NAE": "B", "A": "NBE", "NA": "BE", "PE": "P",
              "PO": "NP", "GE": "NL", "NGE": "L", "G": "NLE", "NG": "LE"}
# GNU as' names for far transfers and the like.
OTHER_NAMES = {"LJMP": "JMP", "LCALL": "CALL", "LRET": "RET", "LRETQ": "RET", "IRETW": "IRET", "IRETL": "IRETD",
               "SYSRETQ": "SYSRET", "SYSRETL": "SYSRET", "SYSEXITQ": "SYSEXIT"}
# Instructions that programs of tests/guest write as bytes: the file and what must stand in it.
GUEST_BYTES = {"INT1": ("debug.S", ".byte 0xf1"), "UD0": ("exceptions.S", ".byte 0x0f, 0xff, 0xc0")}
# Rows that no test runs, each with its reason. A row that gets a test must leave.
REASONS = {
    "INVALID": "stands for every encoding that does not exist: Silicon.EveryEncodingExistsOrNot",
}


def rows() -> list[tuple[str, str, str, str]]:
    """(mnemonic, family, feature, manual reference) in the order of the table."""
    text = (ROOT / "cpu/isa/instructions.inc").read_text(encoding="utf-8")
    families = [(match.start(), match.group(1)) for match in FAMILY.finditer(text)]
    out = []
    for match in ROW.finditer(text):
        family = next((name for start, name in reversed(families) if start < match.start()), "?")
        _read, _written, _undefined, feature = (column.strip() for column in match.group(3).split(",")[:4])
        out.append((match.group(1), family, feature, match.group(4)))
    return out


def features() -> set[str]:
    """The features of x86-64-v3, from the models' own lists."""
    text = (ROOT / "cpu/cpuid/model.cpp").read_text(encoding="utf-8")
    lists = re.findall(r"constexpr u64 (kBaseline|kV2|kPlatform|kV3) =(.*?);", text, re.S)
    if len(lists) != 4:
        sys.exit("instruction_coverage: cpu/cpuid/model.cpp does not list kBaseline, kV2, kPlatform and kV3 any more")
    return set(re.findall(r"Feature::(\w+)", " ".join(content for _, content in lists)))


def cannot_say(why: str) -> None:
    print(f"instruction_coverage: {why}")
    sys.exit(77)


class Silicon:
    """What the tester says that it runs, by mnemonic."""

    def __init__(self, binary: pathlib.Path) -> None:
        environment = dict(os.environ, ORRERY_SILICON_LIST="1", ORRERY_SILICON_CASES="2", ORRERY_SEQUENCES="0")
        command = [binary, "--gtest_brief=1", "--gtest_filter=Silicon.EveryForm*:Sequences.Host*"]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            sys.exit(f"instruction_coverage: {binary} fails:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
        if "SKIPPED" in run.stdout:
            cannot_say("the tester skips its tests here")
        absent = sum(int(n) for n in re.findall(r"with mismatches, (\d+) that this host has not", run.stdout))
        if absent:
            cannot_say(f"this host lacks {absent} forms of the tester")
        self.forms: dict[str, dict[str, list[str]]] = {"64": {}, "32": {}}
        for mode, form in re.findall(r"^ok(64|32) (.*) \(\d+\)$", run.stdout, re.M):
            self.forms[mode].setdefault(form.split()[0], []).append(form)
        self.sequences = {mode: set(re.findall(rf"^sequence{mode} (\w+)$", run.stdout, re.M)) for mode in ("64", "32")}

    def count(self, mode: str, mnemonic: str) -> int:
        return len(self.forms[mode].get(mnemonic, ()))


def guest_mnemonics() -> set[str]:
    found: set[str] = set()
    for path in sorted((ROOT / "tests/guest").rglob("*.[sSi]*")):
        text = re.sub(r"/\*.*?\*/|//.*?$|#.*?$", "", path.read_text(encoding="utf-8"), flags=re.S | re.M)
        for mnemonic in GUEST_MNEMONIC.findall(text):
            names = {mnemonic.upper()}
            if mnemonic[-1] in "bwlq":  # GNU as: a size suffix
                names.add(mnemonic[:-1].upper())
                if mnemonic[-1] == "l":
                    names.add(mnemonic[:-1].upper() + "D")
            for name in list(names):
                names.add(OTHER_NAMES.get(name, name))
                for prefix in ("J", "SET", "CMOV"):
                    if name.startswith(prefix) and name[len(prefix):] in CONDITIONS:
                        names.add(prefix + CONDITIONS[name[len(prefix):]])
            found |= names
    for mnemonic, (name, text) in GUEST_BYTES.items():
        if text not in (ROOT / "tests/guest" / name).read_text(encoding="utf-8"):
            sys.exit(f"instruction_coverage: tests/guest/{name} has no '{text}' for {mnemonic} any more")
        found.add(mnemonic)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--silicon", type=pathlib.Path, default=ROOT / "build/release/tests/test_silicon")
    parser.add_argument("--forms", action="store_true")
    parser.add_argument("--untested", action="store_true")
    parser.add_argument("--brief", action="store_true")
    arguments = parser.parse_args()
    if not arguments.silicon.exists():
        sys.exit(f"instruction_coverage: '{arguments.silicon}' does not exist; build it, or name it with --silicon")
    silicon = Silicon(arguments.silicon.resolve())
    guest = guest_mnemonics()
    model = features()
    sums: collections.Counter[str] = collections.Counter()
    problems = []
    table = rows()
    for mnemonic, family, feature, manual in table:
        wide, narrow = silicon.count("64", mnemonic), silicon.count("32", mnemonic)
        modes = [mode for mode in ("64", "32") if mnemonic in silicon.sequences[mode]]
        tests = []
        if wide or narrow:
            tests.append(f"silicon {wide}/{narrow}")
        if modes:
            tests.append("sequences " + "/".join(modes))
        if mnemonic in guest:
            tests.append("guest")
        sums["forms"] += wide + narrow
        sums["silicon"] += bool(wide or narrow)
        sums["sequences"] += bool(modes)
        sums["guest"] += mnemonic in guest
        reason = REASONS.get(mnemonic, "" if feature in model else f"x86-64-v3 has no {feature[1:]}")
        if not tests:
            sums["reasoned"] += bool(reason)
            if not reason:
                problems.append(f"{mnemonic}: no test, and no reason in REASONS")
        elif mnemonic in REASONS:
            problems.append(f"{mnemonic}: has tests ({', '.join(tests)}) and stands in REASONS")
        if arguments.brief or (arguments.untested and tests):
            continue
        print(f"{mnemonic:<17} {family:<22} {', '.join(tests) or '- ' + (reason or 'nothing'):<52} {manual}")
        if arguments.forms:
            for mode in ("64", "32"):
                for form in silicon.forms[mode].get(mnemonic, ()):
                    print(f"    {mode}: {form}")
    names = {row[0] for row in table}
    problems += [f"{name}: stands in REASONS, but not in the table" for name in REASONS if name not in names]
    print(f"{len(table)} rows: {sums['silicon']} with silicon cases ({sums['forms']} forms), {sums['sequences']} in "
          f"sequences, {sums['guest']} in guest programs, {sums['reasoned']} with a reason, {len(problems)} problems")
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Times the benchmark programs natively, in Orrery and in QEMU TCG, in one run, and compares their outputs.

    tools/compare.py [--percent N] [--runs N] [--engine NAME] [--defaults] [--no-qemu] [CLASS...]

A class is what stands before the first '_' of a program's name in bench/programs. Every program runs `runs` times in
each emulator, in one guest of each: the same kernel and initramfs, `mitigations=off` on both unless --defaults. Times
are CPU seconds of the emulator's process (natively: of the program) between two markers on the serial line; a ratio is
of medians. Prints the table; writes build/compare/results.json and table.md.
"""

import argparse
import json
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "compare"
GUEST = ROOT / "build" / "guest"
PROGRAMS = ROOT / "bench" / "programs"
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
MARKER = re.compile(rb"@@ (begin|end) (\S+) (\d+)(?: (\S+))?")


def build(classes: list[str]) -> list[str]:
    BUILD.mkdir(parents=True, exist_ok=True)
    names = sorted(p.stem for p in PROGRAMS.glob("*.c") if not classes or p.stem.split("_")[0] in classes)
    if not names:
        sys.exit(f"compare: no program of class {', '.join(classes)} in {PROGRAMS}")
    for name in names:
        subprocess.run(["gcc", "-O2", "-static", "-Wall", "-Wextra", "-o", BUILD / name, PROGRAMS / f"{name}.c", "-lm"],
                       check=True)
    return names


def make_initramfs(names: list[str], percent: int, runs: int) -> pathlib.Path:
    script = BUILD / "run.sh"
    lines = ["cd /orrery"]
    for name in names:
        for run in range(runs):
            lines += [f"echo @@ begin {name} {run}", f"out=$(./{name} {percent})", f"echo @@ end {name} {run} $out"]
    script.write_text("\n".join(lines) + "\n")
    image = BUILD / "initramfs.cpio.gz"
    subprocess.run([ROOT / "tools" / "make_initramfs.sh", GUEST, image, script] + [BUILD / n for n in names], check=True)
    return image


def cpu_seconds(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def run_guest(command: list[str]) -> dict[str, list[tuple[float, str]]]:
    """{program: [(seconds, output), ...]}, by the emulator's CPU time between the markers."""
    results: dict[str, list[tuple[float, str]]] = {}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    started = 0.0
    for line in process.stdout:
        found = MARKER.search(line)
        if not found:
            continue
        now = cpu_seconds(process.pid)
        if found[1] == b"begin":
            started = now
        else:
            results.setdefault(found[2].decode(), []).append((now - started, (found[4] or b"").decode()))
    process.wait()
    return results


def run_native(names: list[str], percent: int, runs: int) -> dict[str, list[tuple[float, str]]]:
    results: dict[str, list[tuple[float, str]]] = {}
    for name in names:
        for _ in range(runs):
            before = os.times()
            out = subprocess.run([BUILD / name, str(percent)], capture_output=True, text=True, check=True).stdout.strip()
            after = os.times()
            seconds = after.children_user + after.children_system - before.children_user - before.children_system
            results.setdefault(name, []).append((seconds, out))
    return results


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(math.log(v) for v in values) / len(values)) if values else math.nan


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--percent", type=int, default=100, help="of each program's work")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--engine", default="jit")
    parser.add_argument("--orrery", default=str(ROOT / "build" / "release" / "orrery"))
    parser.add_argument("--defaults", action="store_true", help="the kernel's own choice of mitigations")
    parser.add_argument("--no-qemu", action="store_true")
    parser.add_argument("classes", nargs="*", metavar="CLASS")
    options = parser.parse_args()

    names = build(options.classes)
    initramfs = make_initramfs(names, options.percent, options.runs)
    append = "console=ttyS0 quiet" + ("" if options.defaults else " mitigations=off")
    kernel = GUEST / "vmlinuz"
    sides = {"native": run_native(names, options.percent, options.runs)}
    sides["orrery"] = run_guest([options.orrery, "run", "--kernel", str(kernel), "--initrd", str(initramfs), "--append",
                                 append, "--engine", options.engine, "--memory", "1G"])
    if not options.no_qemu:
        sides["qemu"] = run_guest(["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "1G", "-display", "none",
                                   "-serial", "stdio", "-monitor", "none", "-no-reboot", "-kernel", str(kernel),
                                   "-initrd", str(initramfs), "-append", append])

    def median(side: str, name: str) -> float:
        times = [seconds for seconds, _ in sides.get(side, {}).get(name, [])]
        return max(statistics.median(times), 0.5 / TICKS_PER_SECOND) if times else math.nan

    failed = False
    rows = ["| program | native s | Orrery / native | TCG / native | faster than TCG | first, third run s | output |",
            "|---|---|---|---|---|---|---|"]
    by_class: dict[str, list[tuple[float, float]]] = {}
    for name in names:
        outputs = {out for side in sides.values() for _, out in side.get(name, [])}
        complete = all(len(side.get(name, [])) == options.runs for side in sides.values())
        same = complete and len(outputs) == 1 and outputs != {""}
        failed = failed or not same
        native, ours, theirs = (median(side, name) for side in ("native", "orrery", "qemu"))
        runs = [seconds for seconds, _ in sides["orrery"].get(name, [])]
        # A program that one side cannot run has no ratio (QEMU 7.2 has no SHA-NI).
        if same or "qemu" not in sides:
            by_class.setdefault(name.split("_")[0], []).append((ours / native, theirs / ours))
        rows.append(f"| {name} | {native:.2f} | {ours / native:.2f} | {theirs / native:.2f} | {theirs / ours:.2f} | "
                    f"{runs[0] if runs else math.nan:.2f}, {runs[-1] if runs else math.nan:.2f} | "
                    f"{'same' if same else 'DIFFERENT'} |")
    rows += ["", "| class | Orrery / native | faster than TCG |", "|---|---|---|"]
    for kind, pairs in by_class.items():
        rows.append(f"| {kind} | {geometric_mean([a for a, _ in pairs]):.2f} | {geometric_mean([b for _, b in pairs]):.2f} |")
    table = "\n".join(rows) + "\n"
    print(table)
    (BUILD / "table.md").write_text(table)
    (BUILD / "results.json").write_text(json.dumps(sides, indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Times the benchmark programs natively, in Orrery and in QEMU TCG, in one run, and compares their outputs.

    tools/compare.py [--percent N] [--runs N] [--defaults] [--no-qemu] [--output DIR] [CLASS...]

A class is what stands before the first '_' of a program's name in bench/programs. A C program is built static and runs
in the initramfs; a script is run by Debian's interpreter that its first line names, in the root that
tools/fetch_programs.sh made: the guest has it as a disk, the host by chroot. Class `boot` is Debian's kernel to /init
and power-off, and the same once more with its inputs recorded. Each class has a guest of its own in each emulator, where
every program runs `runs` times: the same kernel, initramfs and disk, `mitigations=off` on both unless --defaults. Times
are CPU seconds of the emulator's process (natively: of the program) between two markers on the serial line; a ratio is
of medians, a class's ratio the geometric mean of its programs'. A class with a wrong output has no figure. Prints the
tables; writes table.md, plot.svg and results.json into build/compare (with --defaults into build/compare/defaults).
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
import tempfile
import threading
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "compare"
GUEST = ROOT / "build" / "guest"
DEBIAN = ROOT / "build" / "programs"
PROGRAMS = ROOT / "bench" / "programs"
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
MARKER = re.compile(rb"@@ (begin|end) (\S+) (\d+)(?: (\S+))?")
BOOT = "boot_init"
# The classes in the order of the tables: what each is, and how many times faster than TCG it is to be at least.
CLASSES = {
    "real": ("real programs", 5),
    "jits": ("JITs in the guest", 6),
    "crypto": ("cryptography", 10),
    "loops": ("hot integer and memory loops", 2.5),
    "calls": ("calls, indirect branches, interpreters", 4),
    "float": ("floating point, x87, SSE, AVX2", 25),
    "strings": ("string functions and instructions", 12),
    "system": ("system calls, pipes, fork, faults", 4),
    "code": ("self-modifying and fresh code", 20),
    "boot": ("Debian's kernel to /init", 2.5),
}
RECORDING_BAR = 8
# Commands that run a script in Debian's root: the same on the host and in the guest.
MOUNT = "mount --rbind /dev {root}/dev && mount -t proc proc {root}/proc && mount {tmp} {root}/tmp"
ENTER = ("chroot {root} /usr/bin/env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin LC_ALL=C HOME=/tmp PYTHONHASHSEED=0 PERL_HASH_SEED=0 "
         "PYTHONDONTWRITEBYTECODE=1 OPENSSL_CONF=/dev/null sh -c 'cd /tmp && exec ./{command}'")

# {program: [(seconds, output), ...]}
Results = dict[str, list[tuple[float, str]]]


class Program(NamedTuple):
    name: str
    path: pathlib.Path

    @property
    def is_script(self) -> bool:
        return self.path.suffix != ".c"


def find(kind: str) -> list[Program]:
    return [Program(p.stem, p) for p in sorted(PROGRAMS.glob(f"{kind}_*"))]


def build(program: Program) -> pathlib.Path:
    """The file that goes into the initramfs."""
    if program.is_script:
        return program.path
    subprocess.run(["gcc", "-O2", "-static", "-Wall", "-Wextra", "-o", BUILD / program.name, program.path, "-lm"], check=True)
    return BUILD / program.name


def make_initramfs(kind: str, programs: list[Program], files: list[pathlib.Path], percent: int, runs: int) -> pathlib.Path:
    lines = ["cd /orrery"]
    if any(p.is_script for p in programs):
        lines += ["mount -t ext4 -o ro /dev/vda /mnt", MOUNT.format(root="/mnt", tmp="-t tmpfs tmpfs"), "cp * /mnt/tmp",
                  ENTER.format(root="/mnt", command=f"prepare.sh {percent}")]
        files = [*files, PROGRAMS / "prepare.sh"]
    for program in programs:
        command = f"./{program.name} {percent}"
        if program.is_script:
            command = ENTER.format(root="/mnt", command=f"{program.path.name} {percent}")
        for run in range(runs):
            lines += [f"echo @@ begin {program.name} {run}", f"out=$({command})", f"echo @@ end {program.name} {run} $out"]
    if kind == "boot":
        lines += [f"echo @@ end {BOOT} 0 booted"]
    script = BUILD / f"{kind}.sh"
    script.write_text("\n".join(lines) + "\n")
    image = BUILD / f"{kind}.cpio.gz"
    subprocess.run([ROOT / "tools" / "make_initramfs.sh", GUEST, image, script, *files], check=True)
    return image


def cpu_seconds(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def run_guest(command: list[str], limit: float) -> tuple[Results, float]:
    """By the emulator's CPU time between the markers; and the CPU time of the whole run."""
    results: Results = {}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    killer = threading.Timer(limit, process.kill)
    killer.start()
    before = os.times()
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
    killer.cancel()
    return results, children_since(before)


def children_since(before: os.times_result) -> float:
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def run_native(programs: list[Program], files: list[pathlib.Path], percent: int, runs: int) -> Results:
    results: Results = {}
    apart = ["unshare", "--mount", "--pid", "--fork"] + ([] if os.geteuid() == 0 else ["--user", "--map-root-user"])
    with tempfile.TemporaryDirectory(dir="/dev/shm") as tmp:
        root = DEBIAN / "root"

        def entering(command: str) -> list[str]:
            return [*apart, "sh", "-c", MOUNT.format(root=root, tmp=f"--bind {tmp}") + " && " + ENTER.format(root=root, command=command)]

        if any(p.is_script for p in programs):
            if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode != 0:
                sys.exit("compare: no name space for the host's side")
            subprocess.run(["cp", *files, PROGRAMS / "prepare.sh", tmp], check=True)
            subprocess.run(entering(f"prepare.sh {percent}"), check=True)
        for program, file in zip(programs, files):
            command = entering(f"{program.path.name} {percent}") if program.is_script else [str(file), str(percent)]
            for _ in range(runs):
                before = os.times()
                out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
                results.setdefault(program.name, []).append((children_since(before), out[0] if out else ""))
    return results


def measure(kind: str, options: argparse.Namespace) -> dict[str, Results]:
    """{side: results} of one class."""
    programs = find(kind)
    disks = DEBIAN / "programs.img" if any(p.is_script for p in programs) else None
    if disks and not disks.exists():
        sys.exit(f"compare: no {disks}; see tools/fetch_programs.sh")
    if not (GUEST / "vmlinuz").exists():
        sys.exit(f"compare: no {GUEST / 'vmlinuz'}; see tools/fetch_guest.sh")
    files = [build(p) for p in programs]
    initramfs = make_initramfs(kind, programs, files, options.percent, options.runs)
    append = "console=ttyS0 quiet" + ("" if options.defaults else " mitigations=off")
    kernel = GUEST / "vmlinuz"
    commands = {"orrery": [options.orrery, "run", "--kernel", str(kernel), "--initrd", str(initramfs), "--append", append,
                           "--engine", options.engine, "--memory", "2G"] + (["--disk", f"{disks},readonly"] if disks else [])}
    if not options.no_qemu:
        commands["qemu"] = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "2G", "-display", "none", "-serial", "stdio",
                            "-monitor", "none", "-no-reboot", "-kernel", str(kernel), "-initrd", str(initramfs), "-append", append]
        commands["qemu"] += ["-drive", f"file={disks},format=raw,if=virtio,readonly=on"] if disks else []
    if kind == "boot":
        log = BUILD / "boot.log"
        commands["recorded"] = [*commands["orrery"], "--record", str(log)]
        sides: dict[str, Results] = {side: {BOOT: []} for side in commands}
        for _ in range(options.runs):
            for side, command in commands.items():
                log.unlink(missing_ok=True)
                results, seconds = run_guest(command, options.limit)
                sides[side][BOOT] += [(seconds, out) for _, out in results.get(BOOT, [])]
        return sides
    sides = {"native": run_native(programs, files, options.percent, options.runs)}
    return sides | {side: run_guest(command, options.limit)[0] for side, command in commands.items()}


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(math.log(v) for v in values) / len(values)) if values else math.nan


def figure(value: float, unit: str = "") -> str:
    return "-" if math.isnan(value) else f"{value:.2f}{unit}" if value < 10 else f"{value:.1f}{unit}"


class Row(NamedTuple):
    """One program: medians of seconds, NaN where a side has none."""

    name: str
    native: float
    orrery: float
    qemu: float
    recorded: float
    first_and_last: dict[str, tuple[float, float]]
    same: bool


def evaluate(name: str, sides: dict[str, Results], runs: int) -> Row:
    of = {side: results.get(name, []) for side, results in sides.items()}

    def median(side: str) -> float:
        times = [seconds for seconds, _ in of.get(side, [])]
        return max(statistics.median(times), 0.5 / TICKS_PER_SECOND) if times else math.nan

    outputs = {out for results in of.values() for _, out in results}
    same = all(len(results) == runs for results in of.values()) and len(outputs) == 1 and outputs != {""}
    spans = {side: (results[0][0], results[-1][0]) for side, results in of.items() if results}
    return Row(name, median("native"), median("orrery"), median("qemu"), median("recorded"), spans, same)


def tables(rows: list[Row], runs: int) -> tuple[str, dict[str, float]]:
    """The tables, and how many times faster than TCG each class is."""

    def ends(row: Row, side: str) -> str:
        return ", ".join(figure(s) for s in row.first_and_last.get(side, (math.nan, math.nan)))

    last = {1: "first", 2: "second", 3: "third"}.get(runs, f"{runs}th")
    lines = [f"| program | native s | Orrery / native | TCG / native | faster than TCG | Orrery first, {last} s | "
             f"TCG first, {last} s | output |",
             "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        ratios = (row.orrery / row.native, row.qemu / row.native, row.qemu / row.orrery)
        lines.append(f"| {row.name} | {figure(row.native)} | {' | '.join(figure(r, 'x') for r in ratios)} | {ends(row, 'orrery')} | "
                     f"{ends(row, 'qemu')} | {'same' if row.same else 'DIFFERENT'} |")
    lines += ["", "| class | programs | Orrery / native | TCG / native | faster than TCG | first bar |", "|---|---|---|---|---|---|"]
    faster = {}
    for kind in CLASSES:
        members = [r for r in rows if r.name.split("_")[0] == kind]
        if not members:
            continue
        # A class that lacks a program's right result has no figure: nothing is dropped after it was measured.
        complete = all(r.same for r in members)
        ours, theirs, ratio = (geometric_mean(values) if complete else math.nan
                               for values in ([r.orrery / r.native for r in members], [r.qemu / r.native for r in members],
                                              [r.qemu / r.orrery for r in members]))
        if not math.isnan(ratio):
            faster[kind] = ratio
        lines.append(f"| {CLASSES[kind][0]} | {len(members)} | {figure(ours, 'x')} | {figure(theirs, 'x')} | {figure(ratio, 'x')} | "
                     f"{CLASSES[kind][1]:g}x |")
    lines += [""] + [f"Recording costs {100 * (r.recorded / r.orrery - 1):+.1f} % in {r.name} (first bar: under {RECORDING_BAR} %)."
                     for r in rows if not math.isnan(r.recorded)]
    return "\n".join(lines) + "\n", faster


def plot(faster: dict[str, float]) -> str:
    """A bar for each class on a logarithmic axis from 0.5x to 100x, with a line where its first bar is."""
    left, width, row, top = 250, 400, 24, 40
    height = top + row * len(faster) + 30

    def x(ratio: float) -> float:
        return left + width * math.log(min(max(ratio, 0.5), 100) / 0.5) / math.log(100 / 0.5)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 60}" height="{height}" font-family="sans-serif" '
             'font-size="12">',
             '<rect width="100%" height="100%" fill="white"/>',
             f'<text x="{left}" y="18" font-weight="bold">times faster than QEMU TCG, by class; the line is the first bar</text>']
    for tick in (0.5, 1, 2, 5, 10, 20, 50, 100):
        parts.append(f'<line x1="{x(tick):.1f}" y1="{top - 8}" x2="{x(tick):.1f}" y2="{height - 26}" stroke="#ddd"/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{height - 10}" text-anchor="middle" fill="#555">{tick:g}x</text>')
    for n, (kind, ratio) in enumerate(faster.items()):
        name, bar = CLASSES[kind]
        y = top + row * n
        start, end = sorted((x(1), x(ratio)))
        parts.append(f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{name}</text>')
        colour = "#3a7d44" if ratio >= bar else "#8fa9c4"
        parts.append(f'<rect x="{start:.1f}" y="{y}" width="{end - start:.1f}" height="16" fill="{colour}"/>')
        parts.append(f'<line x1="{x(bar):.1f}" y1="{y - 3}" x2="{x(bar):.1f}" y2="{y + 19}" stroke="#b22222" stroke-width="2"/>')
        parts.append(f'<text x="{max(end, x(bar)) + 5:.1f}" y="{y + 12}">{figure(ratio, "x")}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--percent", type=int, default=100, help="of each program's work")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--engine", default="jit")
    parser.add_argument("--orrery", default=str(ROOT / "build" / "release" / "orrery"))
    parser.add_argument("--defaults", action="store_true", help="the kernel's own choice of mitigations")
    parser.add_argument("--no-qemu", action="store_true")
    parser.add_argument("--limit", type=float, default=3600, help="seconds after which a guest is ended")
    parser.add_argument("--output", type=pathlib.Path, help="the folder for the tables and the plot")
    parser.add_argument("classes", nargs="*", metavar="CLASS", help=", ".join(CLASSES))
    options = parser.parse_args()
    unknown = [c for c in options.classes if c not in CLASSES]
    if unknown:
        parser.error(f"no class {', '.join(unknown)}; there are {', '.join(CLASSES)}")
    output = options.output or (BUILD / "defaults" if options.defaults else BUILD)
    output.mkdir(parents=True, exist_ok=True)
    BUILD.mkdir(parents=True, exist_ok=True)

    rows: list[Row] = []
    raw = {}
    for kind in CLASSES:
        if options.classes and kind not in options.classes:
            continue
        print(f"compare: {kind}", file=sys.stderr)
        sides = raw[kind] = measure(kind, options)
        names = [BOOT] if kind == "boot" else [p.name for p in find(kind)]
        rows += [evaluate(name, sides, options.runs) for name in names]
        (output / "results.json").write_text(json.dumps(raw, indent=1) + "\n")
    table, faster = tables(rows, options.runs)
    print(table)
    (output / "table.md").write_text(table)
    (output / "plot.svg").write_text(plot(faster))
    return 0 if all(row.same for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Everything that can be wrong with flags and files, and what Orrery says about it.

    bad_input_test.py --orrery BINARY

Each case gives exit status 2 and exactly one line on standard error that begins with "orrery: " and names the thing;
nothing that existed is overwritten. Kernels are a few bytes of machine code behind a multiboot header, so the cases
need no guest from outside. Full disks are small tmpfs mounts, which need root or user namespaces; without either those
cases are left out, and said so.
"""

import argparse
import gzip
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile

# Multiboot 1 header flag: the load addresses are in the header. [multiboot 0.6.96 3.1]
MULTIBOOT_MAGIC, ADDRESSES_VALID, LOAD_AT = 0x1BADB002, 1 << 16, 0x100000
EXIT = bytes.fromhex("b000e6f4f4")              # mov al, 0; out 0xf4, al; hlt: exit status 1
PRINT = bytes.fromhex("66baf803b078ee") + EXIT  # mov dx, 0x3f8; mov al, 'x'; out dx, al
SPIN = bytes.fromhex("ebfe")                    # jmp $
FULL_BYTES = 4096


def multiboot_kernel(code: bytes) -> bytes:
    entry = LOAD_AT + 32
    checksum = -(MULTIBOOT_MAGIC + ADDRESSES_VALID) & 0xFFFFFFFF
    return struct.pack("<8I", MULTIBOOT_MAGIC, ADDRESSES_VALID, checksum, LOAD_AT, LOAD_AT, 0, 0, entry) + code


def bzimage() -> bytes:
    """A Linux image as far as a loader looks at it. [Documentation/x86/boot.rst]"""
    image = bytearray(512 * 2 + 4096)
    image[0x1F1] = 1
    struct.pack_into("<I", image, 0x1F4, 4096 // 16)
    struct.pack_into("<H", image, 0x1FE, 0xAA55)
    image[0x201] = 0x6A
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x206, 0x20F)
    struct.pack_into("<IIBB", image, 0x22C, 0x7FFFFFFF, 0x200000, 1, 0)
    struct.pack_into("<HI", image, 0x236, 1, 2047)
    struct.pack_into("<QI", image, 0x258, 0x1000000, 8192)
    # The 64-bit entry, 0x200 into the payload.
    image[512 * 2 + 0x200:512 * 2 + 0x200 + len(EXIT)] = EXIT
    return bytes(image)


class Checker:
    def __init__(self, orrery: str, scratch: pathlib.Path):
        self.orrery = orrery
        self.scratch = scratch
        self.count = 0
        self.problems: list[str] = []

    def file(self, name: str, content: bytes) -> str:
        path = self.scratch / name
        path.write_bytes(content)
        return str(path)

    def run(self, arguments: list[str], **options: object) -> subprocess.CompletedProcess:
        return subprocess.run([self.orrery, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                              check=False, **options)

    def problem(self, arguments: list[str], what: str, stderr: bytes = b"") -> None:
        self.problems.append(f"{' '.join(arguments)}: {what}; standard error: {stderr!r}")

    def refused(self, arguments: list[str], part: str, silent: bool = True) -> None:
        """`silent`: it is refused before the machine runs, so that nothing can be on standard output."""
        self.count += 1
        done = self.run(arguments)
        if done.returncode != 2:
            self.problem(arguments, f"exit status {done.returncode}, not 2", done.stderr)
        elif not done.stderr.startswith(b"orrery: ") or done.stderr.count(b"\n") != 1 or done.stderr[-1:] != b"\n":
            self.problem(arguments, "not exactly one line", done.stderr)
        elif part.encode() not in done.stderr:
            self.problem(arguments, f"the message does not name '{part}'", done.stderr)
        elif silent and done.stdout:
            self.problem(arguments, f"on standard output: {done.stdout!r}", done.stderr)

    def accepted(self, arguments: list[str], status: int) -> bytes:
        self.count += 1
        done = self.run(arguments)
        if done.returncode != status:
            self.problem(arguments, f"exit status {done.returncode}, not {status}", done.stderr)
        return done.stdout


def check_flags(check: Checker, kernel: str) -> None:
    for flag, values in {
            "--memory": ["0", "-1", "", "1", "4095", "1025K", "65G", "99999999T", "18446744073709551616", "lots", "1.5G",
                         "512MB"],
            "--cpus": ["0", "9", "-1", "", "4294967297", "18446744073709551616", "two", "1 "],
            "--seed": ["-1", "", "18446744073709551616", "0x10", "seed"],
            "--max-ticks": ["-1", "", "18446744073709551616", "soon", "1e9"],
            "--cpu": ["i286", "", "X86-64-V3"],
            "--board": ["q36", ""],
            "--engine": ["jit9", ""],
            "--clock": ["sundial", ""],
            "--serial": ["tcp:1", "file:", ""],
            "--gdb": ["nowhere", ":0", ":65536", "unix:", ""],
            "--disk": ["", ",snapshot", "x,frobnicate"],
            "--set": ["a=b", "cpu.count", "cpu.count=0", "=", "", "disk.7.file=x", "memory=0"],
            "--record": [""],
            "--jit-cache": ["", "0", "1048577", "2G", "much"],
    }.items():
        for value in values:
            check.refused(["run", "--kernel", kernel, f"{flag}={value}"], flag)
    check.refused(["run", "--kernel", kernel, "--append", "x" * 2048], "--append")
    check.refused(["run", "--kernel", kernel, "--frobnicate"], "--frobnicate")
    check.refused(["run", "--kernel", kernel, "--memory"], "--memory")
    check.refused(["run"], "kernel")
    check.refused([], "command")
    check.refused(["rum"], "rum")
    check.refused(["replay"], "LOG")
    check.refused(["config", "--set", "a=b"], "unknown key 'a'")
    # In range, however odd.
    out = check.accepted(["run", "--kernel", kernel, "--max-ticks", "0", "--state-hash", "--seed", str(2**64 - 1)], 0)
    if b"tick: 0\n" not in out:
        check.problem(["--max-ticks", "0"], f"stopped elsewhere: {out!r}")


def check_images(check: Checker, kernel: str, linux: str, noise: bytes) -> None:
    noisy, empty = check.file("noise", noise), check.file("empty", b"")
    folder = str(check.scratch)
    for flags in (["--kernel"], ["--kernel", kernel, "--initrd"], ["--kernel", kernel, "--disk"]):
        check.refused(["run", *flags, "/nonexistent"], "/nonexistent")
        check.refused(["run", *flags, folder], folder)
        check.refused(["run", *flags, empty], empty)
    check.refused(["run", "--kernel", noisy], noisy)
    image = bzimage()
    for size in (1, 511, 512, 0x268, 1024, 1025, 5000):
        cut = check.file(f"cut{size}", image[:size])
        check.refused(["run", "--kernel", cut], cut)
    check.refused(["run", "--kernel", linux, "--memory", "1M"], "memory")
    elf = b"\x7fELF\x02\x01\x01" + bytes(9) + noise[:2000]
    check.refused(["run", "--kernel", check.file("elf", elf)], "elf")
    header = bytearray(multiboot_kernel(EXIT))
    struct.pack_into("<I", header, 20, 0xFFFFFFF0)
    check.refused(["run", "--kernel", check.file("range", bytes(header))], "range")

    packed = gzip.compress(b"070701" + b"0" * 104 + noise)
    for name, content in (("i-noise", noise), ("i-cut", packed[:-9]), ("i-flip", packed[:-6] + b"\0" + packed[-5:]),
                          ("i-cpio", b"070701" + b"0" * 50), ("i-zero", bytes(4096))):
        path = check.file(name, content)
        check.refused(["run", "--kernel", linux, "--initrd", path], path)
    for image_kernel in (kernel, linux):
        large = check.scratch / "large"
        with open(large, "wb") as file:
            file.truncate(64 << 20)
        check.refused(["run", "--memory", "64M", "--kernel", image_kernel, "--initrd", str(large)], str(large))

    for size in (1, 511, 513, 1000):
        odd = check.file(f"disk{size}", bytes(size))
        check.refused(["run", "--kernel", kernel, "--disk", odd], odd)
    check.refused(["run", "--kernel", kernel, "--disk", "/dev/null"], "/dev/null")
    disks = [part for n in range(17) for part in ("--disk", check.file(f"d{n}", bytes(512)))]
    check.refused(["run", "--kernel", kernel, *disks], "--disk")


def check_toml(check: Checker, kernel: str, noise: bytes) -> None:
    for name, content, part in (
            ("noise.toml", noise, "noise.toml"),
            ("key.toml", b"board = 'minimal'\n[cpu]\nfoo = 1\n", "key.toml:3:1: unknown key 'foo'"),
            ("cut.toml", b"[cpu]\ncount = ", "cut.toml:2"),
            ("open.toml", b"memory = '512M", "open.toml:1"),
            ("table.toml", b"[gpu]\n", "unknown"),
            ("zero.toml", b"memory = 0\n", "memory"),
            ("many.toml", b"[cpu]\ncount = 99\n", "count"),
            ("type.toml", b"memory = true\n", "memory"),
            ("minus.toml", b"seed = -1\n", "seed"),
            ("twice.toml", b"seed = 1\nseed = 2\n", "twice.toml:2"),
            ("deep.toml", b"a=" + b"[" * 10000, "deep.toml"),
            ("nul.toml", b"memory = '\0'\n", "nul.toml"),
    ):
        path = check.file(name, content)
        check.refused(["run", "--kernel", kernel, path], part)
        check.refused(["config", path], part)
    check.refused(["run", "/nonexistent.toml"], "/nonexistent.toml")
    check.refused(["run", str(check.scratch)], str(check.scratch))


def check_logs(check: Checker, kernel: str, noise: bytes) -> None:
    log = check.scratch / "good.log"
    check.accepted(["run", "--kernel", kernel, "--record", str(log)], 1)
    whole = log.read_bytes()
    check.accepted(["replay", str(log)], 1)
    name = "bad.log"

    def refused(content: bytes, silent: bool = True) -> None:
        check.refused(["replay", check.file(name, content)], name, silent)

    refused(b"")
    refused(noise)
    for size in sorted({*range(0, len(whole) - 1, 37), len(whole) - 1}):
        refused(whole[:size], silent=False)
    for at in range(0, len(whole), 23):
        flipped = bytearray(whole)
        flipped[at] ^= 0x10
        refused(bytes(flipped), silent=False)
    refused(whole[:8] + struct.pack("<I", 99) + whole[12:])
    refused(whole + whole[-27:], silent=False)
    refused(whole + noise[:100], silent=False)
    check.refused(["replay", "/nonexistent.log"], "/nonexistent.log")
    check.refused(["replay", str(check.scratch)], str(check.scratch))

    before = pathlib.Path(kernel).read_bytes()
    pathlib.Path(kernel).write_bytes(before + b"\0")
    check.refused(["replay", str(log)], kernel)
    pathlib.Path(kernel).unlink()
    check.refused(["replay", str(log)], kernel)
    pathlib.Path(kernel).write_bytes(before)
    # A log can't be recorded onto a file.
    check.refused(["run", "--kernel", kernel, "--record", str(log)], str(log))
    if log.read_bytes() != whole:
        check.problem(["--record"], "a log was overwritten")
    check.refused(["run", "--kernel", kernel, "--record", "/nonexistent/x.log"], "/nonexistent/x.log")


def check_outputs(check: Checker, kernel: str) -> None:
    precious = check.file("precious", b"do not overwrite")
    noisy = check.file("other-noise", b"noise" * 100)
    check.refused(["run", "--kernel", kernel, "--record", precious], precious)
    check.refused(["run", "--kernel", kernel, "--record", "/dev/full"], "/dev/full")
    check.refused(["run", "--kernel", noisy, "--serial", f"file:{precious}"], noisy)
    check.refused(["run", "--kernel", kernel, "--serial", f"file:{precious}", "--record", precious], precious)
    check.refused(["run", "--kernel", kernel, "--serial", f"file:{kernel}"], kernel)
    check.refused(["run", "--kernel", kernel, "--disk", precious, "--serial", f"file:{precious}"], precious)
    check.refused(["run", "--kernel", kernel, "--serial", "file:/nonexistent/x"], "/nonexistent/x")
    check.refused(["run", "--kernel", kernel, "--serial", f"file:{check.scratch}"], str(check.scratch))
    check.refused(["run", "--kernel", kernel, "--serial", "file:/dev/full"], "/dev/full")
    if pathlib.Path(precious).read_bytes() != b"do not overwrite":
        check.problem(["precious"], "a file was overwritten")
    check.accepted(["run", "--kernel", kernel, "--serial", f"file:{precious}"], 1)
    if pathlib.Path(precious).read_bytes() != b"x":
        check.problem(["--serial"], f"the file has {pathlib.Path(precious).read_bytes()!r}")
    # Standard output that is full; standard descriptors that are closed.
    with open("/dev/full", "wb") as full:
        for arguments in (["run", "--kernel", kernel], ["config"], ["--help"]):
            check.count += 1
            done = subprocess.run([check.orrery, *arguments], stdin=subprocess.DEVNULL, stdout=full,
                                  stderr=subprocess.PIPE, check=False)
            if done.returncode != 2 or done.stderr.count(b"\n") != 1 or b"standard output" not in done.stderr:
                check.problem(arguments, f"full standard output: exit status {done.returncode}", done.stderr)
    check.count += 1
    done = subprocess.run(["sh", "-c", 'exec "$0" run --kernel "$1" <&- >&- 2>&-', check.orrery, kernel], check=False)
    if done.returncode != 1:
        check.problem(["<&- >&- 2>&-"], f"exit status {done.returncode}, not 1")


def check_full_disks(check: Checker, kernel: str, spin: str) -> bool:
    mount = check.scratch / "mount"
    mount.mkdir()
    # The mount and the program share a shell, so that the mount goes with its name space.
    script = (f'mount -t tmpfs -o size={FULL_BYTES} none "$1" && {{ [ -z "$2" ] || head -c {FULL_BYTES} /dev/zero '
              '> "$1/filler"; } && shift 2 && exec "$@"')
    space = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    probe = subprocess.run([*space, "sh", "-c", script, "sh", str(mount), "", "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        return False
    log = str(mount / "full.log")
    serial = str(mount / "serial")
    for filler, arguments, part in (
            # No room for the header; room for the header, but not for a few seconds of clock corrections.
            ("filler", ["run", "--kernel", kernel, "--record", log], log),
            ("", ["run", "--kernel", spin, "--clock", "follow", "--record", log], log),
            ("filler", ["run", "--kernel", kernel, "--serial", f"file:{serial}"], serial),
    ):
        check.count += 1
        done = subprocess.run([*space, "sh", "-c", script, "sh", str(mount), filler, check.orrery, *arguments],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        if done.returncode != 2 or done.stderr.count(b"\n") != 1 or part.encode() not in done.stderr:
            check.problem(arguments, f"full disk: exit status {done.returncode}", done.stderr)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orrery", required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orrery-bad-") as folder:
        check = Checker(os.path.abspath(arguments.orrery), pathlib.Path(folder))
        noise = random.Random(1).randbytes(100_000)
        kernel = check.file("kernel", multiboot_kernel(PRINT))
        spin = check.file("spin", multiboot_kernel(SPIN))
        linux = check.file("linux", bzimage())
        check.accepted(["run", "--kernel", kernel], 1)
        check.accepted(["run", "--kernel", linux], 1)
        check_flags(check, kernel)
        check_images(check, kernel, linux, noise)
        check_toml(check, kernel, noise)
        check_logs(check, kernel, noise)
        check_outputs(check, kernel)
        if shutil.which("unshare") is None or not check_full_disks(check, kernel, spin):
            print("left out: full disks, for want of a mount")
        for problem in check.problems:
            print(f"failed: {problem}")
        print(f"{check.count} cases, {len(check.problems)} failed")
        return 1 if check.problems else 0


if __name__ == "__main__":
    sys.exit(main())

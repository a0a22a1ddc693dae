#!/usr/bin/env python3
"""Boots Debian's kernel in Orrery and looks at what comes out.

    boot_test.py --orrery BINARY --guest DIR CASE

One case per run, named as the functions case_<name> below. Exit status 0: passed; 1: failed; 77: skipped, because the
guest has not been fetched. The guest has no clock but ours, so a case never waits for a time, only for text or the end.
"""

import argparse
import os
import pathlib
import pty
import re
import select
import subprocess
import sys
import tempfile
import termios

SKIPPED = 77
HASH_LINE = re.compile(rb"^state-hash: ([0-9a-f]{16}) tick: ([0-9]+)\r?$", re.M)
LOAD = "for i in 1 2 3 4 5 6; do (seq 1 3000 | sort -rn | md5sum) & done; wait; echo load-done"


class Failure(Exception):
    pass


def expect(holds: bool, what: str, output: bytes = b"") -> None:
    if not holds:
        raise Failure(what + ("\n--- output ---\n" + output.decode(errors="replace")[-6000:] if output else ""))


class Machine:
    def __init__(self, orrery: str, guest: pathlib.Path, scratch: pathlib.Path):
        self.orrery = orrery
        self.guest = guest
        self.scratch = scratch

    def boot_arguments(self, commands: str, flags: list[str]) -> list[str]:
        append = "console=ttyS0 quiet" + (f' orrery.run="{commands}"' if commands else "")
        return [self.orrery, "run", "--kernel", str(self.guest / "vmlinuz"), "--initrd",
                str(self.guest / "initramfs.cpio.gz"), "--append", append, *flags]

    def boot(self, commands: str, *flags: str, status: int = 0) -> bytes:
        """Boots, runs `commands`, and returns what the serial port and the program said."""
        done = subprocess.run(self.boot_arguments(commands, list(flags)), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        expect(done.returncode == status, f"exit status {done.returncode}, not {status}", done.stdout)
        return done.stdout

    def converse(self, dialogue: list[tuple[bytes, bytes]], *flags: str) -> bytes:
        """Boots to the shell, over pipes; for each pair waits for the first text, then types the second."""
        process = subprocess.Popen(self.boot_arguments("", list(flags)), stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert process.stdin is not None and process.stdout is not None
        output = bytearray()
        try:
            for wanted, typed in dialogue:
                read_until(process.stdout.fileno(), wanted, output)
                process.stdin.write(typed)
                process.stdin.flush()
            output += process.stdout.read()
            expect(process.wait() == 0, f"exit status {process.returncode}", bytes(output))
        finally:
            process.kill()
            process.wait()
        return bytes(output)

    def replay(self, log: pathlib.Path) -> bytes:
        done = subprocess.run([self.orrery, "replay", str(log), "--state-hash"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        expect(done.returncode == 0, f"replay: exit status {done.returncode}", done.stdout)
        return done.stdout


def hash_of(output: bytes) -> tuple[bytes, bytes]:
    found = HASH_LINE.search(output)
    expect(found is not None, "no state-hash line", output)
    assert found is not None
    return found.group(1), found.group(2)


def case_shell(machine: Machine) -> None:
    output = machine.boot("uname -a; cat /proc/cpuinfo; cat /proc/interrupts; poweroff -f")
    for part in (rb"Linux orrery .* x86_64", rb"processor\s*: 0", rb"ttyS0", rb"LOC:"):
        expect(re.search(part, output) is not None, f"no {part!r}", output)
    for bad in (rb"Kernel panic", rb"BUG:", rb"Call Trace", rb"could not load"):
        expect(bad not in output, f"{bad!r} in the output", output)


def case_cpus4(machine: Machine) -> None:
    output = machine.boot(f"nproc; {LOAD}; poweroff -f", "--cpus", "4")
    expect(re.search(rb"^4\r?$", output, re.M) is not None, "not four CPUs", output)
    expect(b"load-done" in output, "the load did not end", output)
    sums = re.findall(rb"([0-9a-f]{32})  -", output)
    expect(len(sums) == 6 and len(set(sums)) == 1, "the sums differ", output)


def memory_case(machine: Machine, size: str, low_kib: int, high_kib: int) -> None:
    output = machine.boot("grep MemTotal /proc/meminfo; poweroff -f", "--memory", size)
    found = re.search(rb"MemTotal:\s+([0-9]+) kB", output)
    expect(found is not None and low_kib < int(found.group(1)) < high_kib, "MemTotal is off", output)


def case_memory_256m(machine: Machine) -> None:
    memory_case(machine, "256M", 180_000, 262_144)


def case_memory_4g(machine: Machine) -> None:
    memory_case(machine, "4G", 3_700_000, 4_194_304)


def read_until(master: int, text: bytes, output: bytearray) -> None:
    start = len(output)
    while text not in output[start:]:
        ready, _, _ = select.select([master], [], [], 240)
        expect(bool(ready), f"waited in vain for {text!r}", bytes(output))
        try:
            piece = os.read(master, 4096)
        except OSError:
            piece = b""
        expect(piece != b"", f"ended before {text!r}", bytes(output))
        output += piece


def case_interactive(machine: Machine) -> None:
    """A terminal: prompt, echo, job control, the escape key's help, and the terminal's mode afterwards."""
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    process = subprocess.Popen(machine.boot_arguments("", []), stdin=slave, stdout=slave, stderr=slave,
                               start_new_session=True)
    output = bytearray()
    try:
        read_until(master, b"# ", output)
        os.write(master, b"echo $((6*7))\r")
        read_until(master, b"\n42", output)
        # Not before the child runs: a shell that is about to fork drops the interrupt.
        os.write(master, b"sh -c 'echo now-$((3*3)); sleep 1000; true'\r")
        read_until(master, b"\nnow-9", output)
        os.write(master, b"\x03")
        read_until(master, b"# ", output)
        os.write(master, b"echo still-$((1+1))\r")
        read_until(master, b"\nstill-2", output)
        os.write(master, b"\x01h")
        read_until(master, b"Ctrl-A x", output)
        os.write(master, b"\x01x")
        while process.poll() is None:
            ready, _, _ = select.select([master], [], [], 1)
            if ready:
                output += os.read(master, 4096)
        expect(process.returncode == 0, f"exit status {process.returncode}", bytes(output))
        expect(termios.tcgetattr(slave) == before, "the terminal's mode was not restored", bytes(output))
    finally:
        process.kill()
        process.wait()


def case_disk(machine: Machine) -> None:
    image = machine.scratch / "disk.img"
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["/sbin/mkfs.ext4", "-q", "-F", str(image)], check=True)
    commands = ("mount -t ext4 /dev/vda /mnt && seq 1 100000 > /mnt/numbers && mkdir /mnt/d && cp /init /mnt/d/ && "
                "md5sum /mnt/numbers && umount /mnt && echo disk-done; poweroff -f")
    untouched = image.read_bytes()
    output = machine.boot(commands, "--disk", f"{image},snapshot")
    expect(b"disk-done" in output, "the guest could not use the disk", output)
    expect(image.read_bytes() == untouched, "a snapshot disk was written to")
    output = machine.boot(commands, "--disk", str(image))
    expect(b"disk-done" in output, "the guest could not use the disk", output)
    checked = subprocess.run(["/sbin/e2fsck", "-f", "-n", str(image)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             check=False)
    expect(checked.returncode == 0, "e2fsck found something", checked.stdout)
    numbers = subprocess.run(["/sbin/debugfs", "-R", "cat /numbers", str(image)], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, check=True).stdout
    expect(numbers == b"".join(b"%d\n" % n for n in range(1, 100001)), "the file has other content")
    output = machine.boot("md5sum /dev/vda; poweroff -f", "--disk", f"{image},readonly")
    sum_here = subprocess.run(["md5sum", str(image)], stdout=subprocess.PIPE, check=True).stdout.split()[0]
    expect(sum_here in output, "the guest reads other bytes than the host", output)


def hash_case(machine: Machine, *flags: str) -> None:
    hashes = [hash_of(machine.boot(f"{LOAD}; poweroff -f", "--clock", "fixed", "--state-hash", *flags))
              for _ in range(2)]
    expect(hashes[0] == hashes[1], f"two runs differ: {hashes}")


def case_same_hash(machine: Machine) -> None:
    hash_case(machine)


def case_same_hash_cpus4(machine: Machine) -> None:
    hash_case(machine, "--cpus", "4")


def replay_case(machine: Machine, clock: str) -> None:
    log = machine.scratch / "session.log"
    dialogue = [(b"# ", b"date; head -c 16 /dev/urandom | md5sum; echo typed-$((2+3))\n"),
                (b"typed-5", b"sleep 1; poweroff -f\n")]
    output = machine.converse(dialogue, "--clock", clock, "--record", str(log), "--state-hash")
    replayed = machine.replay(log)
    expect(hash_of(replayed) == hash_of(output), "the replay ended elsewhere", output + replayed)
    text = output[:output.rindex(b"state-hash:")]
    expect(text == replayed[:replayed.rindex(b"state-hash:")], "the replay said something else", output + replayed)


def case_replay_fixed(machine: Machine) -> None:
    replay_case(machine, "fixed")


def case_replay_follow(machine: Machine) -> None:
    replay_case(machine, "follow")


def main() -> int:
    cases = {name[5:]: function for name, function in globals().items() if name.startswith("case_")}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orrery", required=True)
    parser.add_argument("--guest", type=pathlib.Path, required=True)
    parser.add_argument("case", choices=sorted(cases))
    arguments = parser.parse_args()
    if not (arguments.guest / "initramfs.cpio.gz").exists():
        print(f"skipped: no guest in {arguments.guest}; see tools/fetch_guest.sh")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="orrery-boot-") as scratch:
        try:
            cases[arguments.case](Machine(arguments.orrery, arguments.guest, pathlib.Path(scratch)))
        except Failure as failure:
            print(f"failed: {failure}")
            return 1
    print("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())

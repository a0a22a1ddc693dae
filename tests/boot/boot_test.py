#!/usr/bin/env python3
"""Boots Debian's kernel in Orrery and looks at what comes out.

    boot_test.py --orrery BINARY --guest DIR CASE

One case per run: a function case_<name> below, a row of boot_matrix.py or a family of boot_programs.py. Exit status 0:
passed; 1: failed; 77: skipped, because the guest has not been fetched. The guest has no clock but ours, so a case never
waits for a time, only for text or the end.
"""

import argparse
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import termios
import time

import boot_matrix
import boot_programs
from guest_machine import Failure, Machine, Skipped, expect, hash_of, read_until

SKIPPED = 77
LOAD = "for i in 1 2 3 4 5 6; do (seq 1 3000 | sort -rn | md5sum) & done; wait; echo load-done"
IDLE_SECONDS = 10
HERE = pathlib.Path(__file__).resolve().parent


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


def case_la57(machine: Machine) -> None:
    output = machine.boot("grep -o -m1 la57 /proc/cpuinfo; grep sizes /proc/cpuinfo; poweroff -f", "--cpu", "x86-64-v3-la57")
    expect(re.search(rb"^la57\r?$", output, re.M) is not None, "the kernel did not find 57-bit addresses", output)
    expect(b"52 bits physical, 57 bits virtual" in output, "address sizes", output)


def memory_case(machine: Machine, size: str, low_kib: int, high_kib: int) -> None:
    output = machine.boot("grep MemTotal /proc/meminfo; poweroff -f", "--memory", size)
    found = re.search(rb"MemTotal:\s+([0-9]+) kB", output)
    expect(found is not None and low_kib < int(found.group(1)) < high_kib, "MemTotal is off", output)


def case_memory_256m(machine: Machine) -> None:
    memory_case(machine, "256M", 180_000, 262_144)


def case_memory_4g(machine: Machine) -> None:
    memory_case(machine, "4G", 3_700_000, 4_194_304)


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
        file.truncate(16 << 20)
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


def run_at_start(machine: Machine, commands: str, *programs: pathlib.Path) -> None:
    """Makes the machine's initramfs one that runs `commands`, with `programs` in /orrery."""
    script = machine.scratch / "run"
    script.write_text(commands)
    machine.initrd = machine.scratch / "initramfs.cpio.gz"
    make = HERE.parent.parent / "tools" / "make_initramfs.sh"
    subprocess.run([str(path) for path in (make, machine.guest, machine.initrd, script, *programs)], check=True)


def case_threads(machine: Machine) -> None:
    """Threads, futexes, pipes and forks on four CPUs, twice; the program's result on this machine is the oracle."""
    program = machine.scratch / "threads"
    subprocess.run(["gcc", "-static", "-O2", "-pthread", "-o", str(program), str(HERE / "guest" / "threads.c")], check=True)
    run_at_start(machine, "nproc\n/orrery/threads\n/orrery/threads\n", program)
    expected = subprocess.run([str(program)], stdout=subprocess.PIPE, check=True).stdout.strip()
    ends = []
    for _ in range(2):
        output = machine.boot("", "--cpus", "4", "--clock", "fixed", "--state-hash")
        expect(re.search(rb"^4\r?$", output, re.M) is not None, "not four CPUs", output)
        expect(output.count(expected) == 2, f"not {expected!r} twice", output)
        ends.append(hash_of(output))
    expect(ends[0] == ends[1], f"two runs differ: {ends}")


def case_vectors(machine: Machine) -> None:
    """Vector code of x86-64-v3 among context switches and signals; its result on this machine is the oracle."""
    program = machine.scratch / "vectors"
    subprocess.run(["gcc", "-static", "-O2", "-march=x86-64-v3", "-o", str(program), str(HERE / "guest" / "vectors.c")],
                   check=True)
    if not {"avx2", "gfni", "vaes", "vpclmulqdq"} <= set(pathlib.Path("/proc/cpuinfo").read_text().split()):
        raise Skipped("this machine can't run the program itself")
    expected = subprocess.run([str(program)], stdout=subprocess.PIPE, check=True).stdout.strip()
    expect(b"255" not in expected, f"the program disagrees with itself here: {expected!r}")
    run_at_start(machine, "/orrery/vectors\n", program)
    output = machine.boot("", "--clock", "fixed")
    expect(expected in output, f"not {expected!r}", output)


MIXED_LOAD = r"""
mount -t ext4 -o ro /dev/vda /mnt && mount --rbind /dev /mnt/dev && mount -t proc proc /mnt/proc && mount -t tmpfs tmpfs /mnt/tmp
chroot /mnt /bin/sh <<'END'
gzip -6 < /usr/bin/perl | gzip -d | cmp - /usr/bin/perl && echo same-as-before
sha256sum /usr/bin/perl & sha256sum /usr/bin/python3 & wait
perl -e 'my %h; for (1 .. 20000) { $h{"k" . $_ % 777} .= sprintf("%x ", $_ * 7919); } print length(join "", map { $h{$_} } sort keys %h), "\n"'
python3 -c 'import json; d = {str(i): [i * 1.5, i ** 3] for i in range(2000)}; print(len(json.dumps(json.loads(json.dumps(d)))))'
i=0
while [ $i -lt 100 ]; do (/bin/true & /bin/true; (:; :) | cat; wait); i=$((i + 1)); done
echo mixed-done
END
"""


def case_lockstep(machine: Machine) -> None:
    """Both engines, compared all the way to the shell and through some load; one of them speaks."""
    output = machine.boot(f"{LOAD}; poweroff -f", "--engine", "lockstep", "--state-hash")
    expect(output.count(b"load-done") == 1, "the load did not end once", output)
    alone = machine.boot(f"{LOAD}; poweroff -f", "--engine", "interpreter", "--clock", "fixed", "--state-hash")
    expect(hash_of(output) == hash_of(alone), "it ended elsewhere than one engine does", output + alone)


def case_lockstep_cpus4(machine: Machine) -> None:
    output = machine.boot(f"{LOAD}; poweroff -f", "--engine", "lockstep", "--cpus", "4")
    expect(output.count(b"load-done") == 1, "the load did not end once", output)


def case_lockstep_typed(machine: Machine) -> None:
    """What is typed reaches both; a disk has an overlay on each side; what was recorded replays in step."""
    image, log = machine.scratch / "disk.img", machine.scratch / "session.log"
    with open(image, "wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["/sbin/mkfs.ext4", "-q", "-F", str(image)], check=True)
    untouched = image.read_bytes()
    dialogue = [(b"# ", b"mount -t ext4 /dev/vda /mnt; seq 1 20000 > /mnt/n; sync; md5sum /mnt/n; echo on-$((2+3))\n"),
                (b"on-5", b"head -c 16 /dev/urandom | md5sum; umount /mnt; echo off-$((2+3))\n"),
                (b"off-5", b"poweroff -f\n")]
    output = machine.converse(dialogue, "--engine", "lockstep", "--disk", str(image), "--record", str(log), "--state-hash")
    expect(image.read_bytes() == untouched, "the disk was written to")
    for engine in ("lockstep", "interpreter", "jit"):
        replayed = machine.replay(log, "--engine", engine)
        expect(hash_of(replayed) == hash_of(output), f"the replay by {engine} ended elsewhere", output + replayed)


def case_lockstep_programs(machine: Machine) -> None:
    """Programs of Debian's packages and a storm of forks on two CPUs, compared as they run."""
    programs = machine.guest.parent / "programs" / "programs.img"
    if not programs.exists():
        raise Skipped(f"no {programs}; see tools/fetch_programs.sh")
    run_at_start(machine, MIXED_LOAD)
    output = machine.boot("", "--engine", "lockstep", "--cpus", "2", "--memory", "1G", "--disk", f"{programs},readonly")
    expect(output.count(b"same-as-before") == 1 and output.count(b"mixed-done") == 1, "the load did not end once", output)


def case_x87(machine: Machine) -> None:
    """x87 and MMX code among context switches and signals, in both engines, whose machines end alike; its result on this machine
    is the oracle."""
    program = machine.scratch / "x87"
    subprocess.run(["gcc", "-static", "-O2", "-o", str(program), str(HERE / "guest" / "x87.c")], check=True)
    expected = subprocess.run([str(program)], stdout=subprocess.PIPE, check=True).stdout.strip()
    expect(b"255" not in expected, f"the program disagrees with itself here: {expected!r}")
    run_at_start(machine, "/orrery/x87\n", program)
    ends = []
    for engine in ("interpreter", "jit"):
        output = machine.boot("", "--clock", "fixed", "--state-hash", "--engine", engine)
        expect(expected in output, f"{engine}: not {expected!r}", output)
        ends.append(hash_of(output))
    expect(ends[0] == ends[1], f"the engines differ: {ends}")


def case_small_cache(machine: Machine) -> None:
    """Code is evicted all the time when a boot, which makes 9 MB of it, has room for 1; its end is the same."""
    ends = []
    for flags in ([], ["--jit-cache", "1M"]):
        output = machine.boot(f"{LOAD}; poweroff -f", "--clock", "fixed", "--state-hash", "--stats", *flags)
        expect(b"load-done" in output, "the load did not end", output)
        evicted = re.search(rb"units evicted\s+(\d+)", output)
        expect(evicted is not None and (int(evicted.group(1)) > 100) == bool(flags), f"evictions with {flags}", output)
        ends.append(hash_of(output))
    expect(ends[0] == ends[1], f"the ends differ: {ends}")


def resident(proc: pathlib.Path) -> tuple[float, float]:
    """What a running machine has in the host's memory, in MiB: besides the guest's memory, and of that."""
    status = dict(re.findall(r"^(\w+):\s+(\d+) kB$", (proc / "status").read_text(), re.M))
    # Guest memory is the mapping that core dumps leave out.
    mappings = re.findall(r"^Rss:\s+(\d+) kB$.*?^VmFlags:([^\n]*)$", (proc / "smaps").read_text(), re.M | re.S)
    guest = sum(int(rss) for rss, flags in mappings if "dd" in flags.split()) / 1024
    return int(status["VmRSS"]) / 1024 - guest, guest


def case_forks(machine: Machine) -> None:
    """10,000 processes forked and executed: from the 4,000th on the host's memory does not grow."""
    with machine.started("--clock", "fixed") as shell:
        own = []
        shell.wait_for(b"# ")
        for count in (4000, 6000):
            shell.type(b"n=0; while [ $n -lt %d ]; do /bin/true || break; n=$((n+1)); done; echo ran-$n\n" % count)
            shell.wait_for(b"ran-%d" % count)
            own.append(resident(pathlib.Path(f"/proc/{shell.process.pid}"))[0])
        print(f"forks: {own[0]:.1f} MiB besides the guest's memory after 4,000, {own[1]:.1f} MiB after 10,000")
        expect(own[1] - own[0] < 1, f"6,000 processes left {own[1] - own[0]:.1f} MiB")
        shell.type(b"sh -c 'echo process-$$'; poweroff -f\n")
        output = shell.finish()
        last = re.search(rb"^process-(\d+)\r?$", output, re.M)
        expect(last is not None and int(last.group(1)) > 10000, "there were fewer processes", output)


def case_idle(machine: Machine) -> None:
    """A guest that waits at its prompt: under 2 % of a core, and under 96 MiB besides the guest's memory."""
    with machine.started("--clock", "follow") as shell:
        proc = pathlib.Path(f"/proc/{shell.process.pid}")

        def cpu_seconds() -> float:
            fields = (proc / "stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        shell.wait_for(b"# ")
        # The only place that waits for a time: it is what is measured.
        time.sleep(3)
        before = cpu_seconds()
        time.sleep(IDLE_SECONDS)
        share = (cpu_seconds() - before) / IDLE_SECONDS
        own, guest = resident(proc)
        print(f"idle: {100 * share:.2f} % of a core, {own:.1f} MiB besides {guest:.1f} MiB of the guest's")
        expect(share < 0.02, f"idle takes {100 * share:.2f} % of a core")
        expect(own < 96, f"{own:.1f} MiB resident besides the guest's memory")
        shell.type(b"poweroff -f\n")
        shell.finish()


def case_full_disk(machine: Machine) -> None:
    """A sparse image on a file system without room for it: one line that names the image, and exit status 2."""
    mount = machine.scratch / "mount"
    mount.mkdir()
    image = mount / "disk.img"
    script = 'mount -t tmpfs -o size=1M none "$1" && truncate -s 16M "$2" && shift 2 && exec "$@"'
    space = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    inside = [*space, "sh", "-c", script, "sh", str(mount), str(image)]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode != 0:
        raise Skipped("no tmpfs can be mounted")
    command = machine.boot_arguments("dd if=/dev/zero of=/dev/vda bs=64k; sync; echo written; poweroff -f",
                                     ["--disk", str(image), "--serial", "none"])
    done = subprocess.run([*inside, *command], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    expect(done.returncode == 2, f"exit status {done.returncode}, not 2", done.stderr)
    expect(done.stderr.startswith(b"orrery: ") and done.stderr.count(b"\n") == 1 and str(image).encode() in done.stderr,
           "not one line that names the image", done.stderr)


def gdb_session(machine: Machine, flags: list[str], commands: list[str]) -> str:
    """Runs a machine with a debugger on it; what gdb printed. The machine must end with status 0."""
    if shutil.which("gdb") is None:
        raise Skipped("there is no gdb")
    socket = machine.scratch / "gdb.sock"
    process = subprocess.Popen([*machine.boot_arguments("", flags), "--gdb", f"unix:{socket}"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        read_until(process.stderr.fileno(), b"waiting for gdb\n", bytearray())
        setup = ["set pagination off", "set confirm off", "set architecture i386:x86-64", f"target remote {socket}"]
        arguments = [word for command in setup + commands for word in ("-ex", command)]
        done = subprocess.run(["gdb", "-nx", "-batch", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=240, check=False)
        process.wait(timeout=240)
        expect(process.returncode == 0, f"exit status {process.returncode} under gdb", done.stdout)
        text = done.stdout.decode(errors="replace")
        print(text)
        return text
    finally:
        process.kill()
        process.wait()


def case_gdb(machine: Machine) -> None:
    """A real gdb: entry, step, registers, memory, a hardware breakpoint, a watchpoint, one thread per CPU, detach, kill."""
    # nokaslr: the kernel's entry is where the image asks for it.
    flags = ["--cpus", "4", "--max-ticks", "4000000000", "--clock", "fixed", "--append", "console=ttyS0 quiet nokaslr"]
    text = gdb_session(machine, flags, [
        "printf \"entry %lx\\n\", $rip", "printf \"header %s\\n\", (char[4])*(char*)0x2202",
        "printf \"cr3 %lx cr0 %lx cs %x\\n\", $cr3, $cr0, $cs", "stepi", "stepi", "printf \"stepped %lx\\n\", $rip",
        # Where the compressed image puts the kernel: its own entry.
        "hbreak *0x1000000", "continue", "printf \"kernel %lx\\n\", $rip", "x/2i $rip", "delete", "info threads",
        "stepi 8", "set $slot = $rsp - 8", "watch *(long*)$slot", "continue",
        "delete", "monitor tick", "detach"])
    for part in (r"entry 1000200", r"header .*HdrS|HdrS", r"cr3 4000 cr0 8000\w*", r"stepped 10002", r"kernel 1000000",
                 r"Old value = .*\nNew value = ", r"tick:? *\d+", r"Inferior 1 .*detached|Detaching"):
        expect(re.search(part, text) is not None, f"gdb printed no {part!r}", text.encode())
    expect(len(re.findall(r"^[* ] [1-4] +Thread", text, re.M)) == 4, "not four threads", text.encode())
    text = gdb_session(machine, [], ["stepi", "printf \"stepped %lx\\n\", $rip", "kill"])
    expect("stepped 10002" in text, "no step", text.encode())


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


def case_replay_engines(machine: Machine) -> None:
    """What one engine records, the other one replays, with the clock that follows the host's."""
    for recorder, player in (("jit", "interpreter"), ("interpreter", "jit")):
        log = machine.scratch / f"{recorder}.log"
        dialogue = [(b"# ", b"date; head -c 16 /dev/urandom | md5sum; echo typed-$((2+3))\n"),
                    (b"typed-5", b"sleep 1; poweroff -f\n")]
        output = machine.converse(dialogue, "--engine", recorder, "--clock", "follow", "--record", str(log), "--state-hash")
        replayed = machine.replay(log, "--engine", player)
        expect(hash_of(replayed) == hash_of(output), f"{player} ended elsewhere than {recorder}", output + replayed)


def main() -> int:
    cases = {name[5:]: function for name, function in globals().items() if name.startswith("case_")}
    cases |= boot_matrix.cases() | boot_programs.cases()
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
        except Skipped as reason:
            print(f"skipped: {reason}")
            return SKIPPED
        except Failure as failure:
            print(f"failed: {failure}")
            return 1
    print("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())

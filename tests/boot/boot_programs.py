"""Real programs of Debian's packages in the guest: every line of their output must be what they print on the host.

The guest and the host run the same files (tools/fetch_programs.sh), the guest from a disk, the host in the directory
that the disk was made of. A family of tests/boot/guest/programs.sh becomes the cases `programs_<engine>_<family>`.
"""

import os
import pathlib
import re
import subprocess

from guest_machine import Machine, Skipped, expect

FAMILIES = ("openssl", "python_float", "python_math", "python_cmath", "python_struct", "python_decimal", "python_long", "perl",
            "compress", "sqlite", "luajit", "gcc", "bc")
ENGINES = ("interpreter", "jit")
# Each has to have said at least so much: a script that fails at once is the same everywhere.
LEAST_LINES = 15
ENTER = ("mount --rbind /dev {root}/dev && mount -t proc proc {root}/proc && mount -t tmpfs tmpfs {root}/tmp && "
         "chroot {root} /bin/sh /orrery/programs.sh {family}")


def on_host(root: pathlib.Path, family: str) -> bytes:
    apart = ["unshare", "--mount", "--pid", "--fork"] + ([] if os.geteuid() == 0 else ["--user", "--map-root-user"])
    if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode != 0:
        raise Skipped("no name space for the host's side")
    done = subprocess.run([*apart, "sh", "-c", ENTER.format(root=root, family=family)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                          check=False)
    expect(done.returncode == 0, f"on the host: exit status {done.returncode}", done.stdout)
    return done.stdout


def run(machine: Machine, engine: str, family: str) -> None:
    programs = machine.guest.parent / "programs"
    if not (programs / "programs.img").exists():
        raise Skipped(f"no programs in {programs}; see tools/fetch_programs.sh")
    wanted = on_host(programs / "root", family)
    expect(wanted.count(b"\n") >= LEAST_LINES, "the host's run says too little", wanted)
    enter = ENTER.format(root="/mnt", family=family)
    output = machine.boot(f"mount -t ext4 -o ro /dev/vda /mnt; echo begin-programs; {enter} 2>/tmp/errors; echo end-programs $?; "
                          "cat /tmp/errors; poweroff -f", "--engine", engine, "--clock", "fixed", "--memory", "1G", "--disk",
                          f"{programs / 'programs.img'},readonly")
    text = output.replace(b"\r\n", b"\n")
    found = re.search(rb"^begin-programs\n(.*)^end-programs (\d+)$", text, re.S | re.M)
    expect(found is not None, "the programs did not end", output)
    assert found is not None
    said = found.group(1)
    if said != wanted:
        differing = [(n, a, b) for n, (a, b) in enumerate(zip(said.split(b"\n"), wanted.split(b"\n")), start=1) if a != b]
        for n, here, there in differing[:20]:
            print(f"line {n}: guest {here.decode(errors='replace')}\n{'':>{len(str(n)) + 7}}host {there.decode(errors='replace')}")
        expect(False, f"{len(differing)} lines differ; {said.count(10)} lines in the guest, {wanted.count(10)} on the host", output)
    expect(found.group(2) == b"0", "exit status in the guest: " + found.group(2).decode(), output)
    print(f"{wanted.count(10)} lines, the same")


def cases():
    """The families, by the name of their test."""
    return {f"programs_{engine}_{family}": lambda machine, engine=engine, family=family: run(machine, engine, family)
            for engine in ENGINES for family in FAMILIES}


if __name__ == "__main__":
    # For tests/boot/CMakeLists.txt.
    print(";".join(cases()), end="")

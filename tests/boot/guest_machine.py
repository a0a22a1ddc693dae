"""A machine that boots Debian in Orrery, and what tests of it need: expectations, the state hash, waiting for text."""

import contextlib
import os
import pathlib
import re
import select
import subprocess
from collections.abc import Iterator

HASH_LINE = re.compile(rb"^state-hash: ([0-9a-f]{16}) tick: ([0-9]+)\r?$", re.M)


class Failure(Exception):
    pass


class Skipped(Exception):
    pass


def expect(holds: bool, what: str, output: bytes = b"") -> None:
    if not holds:
        raise Failure(what + ("\n--- output ---\n" + output.decode(errors="replace")[-6000:] if output else ""))


class Machine:
    def __init__(self, orrery: str, guest: pathlib.Path, scratch: pathlib.Path):
        self.orrery = orrery
        self.guest = guest
        self.scratch = scratch
        self.initrd = guest / "initramfs.cpio.gz"

    def with_guest(self, guest: pathlib.Path) -> "Machine":
        """The same with another guest, which may not have been fetched."""
        if not (guest / "initramfs.cpio.gz").exists():
            raise Skipped(f"no guest in {guest}; see tools/fetch_guest.sh")
        return Machine(self.orrery, guest, self.scratch)

    def boot_arguments(self, commands: str, flags: list[str], parameters: str = "quiet") -> list[str]:
        append = f"console=ttyS0 {parameters}" + (f' orrery.run="{commands}"' if commands else "")
        return [self.orrery, "run", "--kernel", str(self.guest / "vmlinuz"), "--initrd", str(self.initrd), "--append",
                append, *flags]

    def boot(self, commands: str, *flags: str, status: int = 0, parameters: str = "quiet") -> bytes:
        """Boots, runs `commands`, and returns what the serial port and the program said."""
        done = subprocess.run(self.boot_arguments(commands, list(flags), parameters), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        expect(done.returncode == status, f"exit status {done.returncode}, not {status}", done.stdout)
        return done.stdout

    @contextlib.contextmanager
    def started(self, *flags: str) -> Iterator["Shell"]:
        """One that boots to the shell, over pipes. Behind the block it is gone."""
        process = subprocess.Popen(self.boot_arguments("", list(flags)), stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            yield Shell(process)
        finally:
            process.kill()
            process.wait()

    def converse(self, dialogue: list[tuple[bytes, bytes]], *flags: str) -> bytes:
        """Boots to the shell; for each pair waits for the first text, then types the second."""
        with self.started(*flags) as shell:
            for wanted, typed in dialogue:
                shell.wait_for(wanted)
                shell.type(typed)
            return shell.finish()

    def replay(self, log: pathlib.Path, *flags: str) -> bytes:
        done = subprocess.run([self.orrery, "replay", str(log), "--state-hash", *flags], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        expect(done.returncode == 0, f"replay: exit status {done.returncode}", done.stdout)
        return done.stdout


class Shell:
    """What a running machine's serial port says, and what is typed there."""

    def __init__(self, process: subprocess.Popen[bytes]):
        assert process.stdin is not None and process.stdout is not None
        self.process = process
        self.stdin = process.stdin
        self.stdout = process.stdout
        self.output = bytearray()

    def wait_for(self, text: bytes) -> None:
        read_until(self.stdout.fileno(), text, self.output)

    def type(self, text: bytes) -> None:
        self.stdin.write(text)
        self.stdin.flush()

    def finish(self) -> bytes:
        """What it has said when it ends, as it should."""
        self.output += self.stdout.read()
        expect(self.process.wait() == 0, f"exit status {self.process.returncode}", bytes(self.output))
        return bytes(self.output)


def hash_of(output: bytes) -> tuple[bytes, bytes]:
    found = HASH_LINE.search(output)
    expect(found is not None, "no state-hash line", output)
    assert found is not None
    return found.group(1), found.group(2)


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

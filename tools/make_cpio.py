#!/usr/bin/env python3
"""Packs a directory as a compressed initramfs, the same bytes for the same content.

    tools/make_cpio.py DIRECTORY OUT.cpio.gz

newc format (Linux Documentation/driver-api/early-userspace/buffer-format.rst): everything belongs to root, times are
0, inode numbers follow the sorted names. Directories, regular files and symbolic links only. OUT appears when it is
whole.
"""

import gzip
import os
import stat
import sys


def entry(number: int, name: str, mode: int, data: bytes) -> bytes:
    links = 2 if stat.S_ISDIR(mode) else 1
    encoded = name.encode() + b"\0"
    fields = [number, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(encoded), 0]
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    out = header + encoded
    out += b"\0" * (-len(out) % 4)
    return out + data + b"\0" * (-len(data) % 4)


def names_below(root: str) -> list[str]:
    names = []
    for directory, subdirectories, files in os.walk(root):
        for name in subdirectories + files:
            names.append(os.path.relpath(os.path.join(directory, name), root))
    return sorted(names)


def pack(root: str) -> bytes:
    out = bytearray()
    for number, name in enumerate(names_below(root), start=1):
        path = os.path.join(root, name)
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            data, mode = os.readlink(path).encode(), stat.S_IFLNK | 0o777
        elif stat.S_ISREG(mode):
            with open(path, "rb") as file:
                data = file.read()
            mode = stat.S_IFREG | (0o755 if mode & 0o100 else 0o644)
        elif stat.S_ISDIR(mode):
            data, mode = b"", stat.S_IFDIR | 0o755
        else:
            raise SystemExit(f"make_cpio: '{path}' is no file, directory or link")
        out += entry(number, name, mode, data)
    return bytes(out + entry(0, "TRAILER!!!", 0, b""))


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit("usage: tools/make_cpio.py DIRECTORY OUT.cpio.gz")
    temporary = f"{sys.argv[2]}.{os.getpid()}.new"
    with open(temporary, "wb") as file:
        file.write(gzip.compress(pack(sys.argv[1]), compresslevel=6, mtime=0))
    os.replace(temporary, sys.argv[2])


if __name__ == "__main__":
    main()

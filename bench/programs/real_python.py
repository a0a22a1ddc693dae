#!/usr/bin/python3.11
"""python: classes, dictionaries, generators, integers, JSON, regular expressions and sorting."""

import hashlib
import json
import re
import sys

PERCENT = int(sys.argv[1]) if len(sys.argv) > 1 else 100


class Node:
    __slots__ = ("key", "left", "right")

    def __init__(self, key):
        self.key, self.left, self.right = key, None, None

    def insert(self, key):
        node = self
        while True:
            side = "left" if key < node.key else "right"
            child = getattr(node, side)
            if child is None:
                setattr(node, side, Node(key))
                return
            node = child

    def __iter__(self):
        if self.left:
            yield from self.left
        yield self.key
        if self.right:
            yield from self.right


def numbers(n, seed=1):
    for _ in range(n):
        seed = seed * 48271 % 2147483647
        yield seed


def main():
    digest = hashlib.md5()
    keys = list(numbers(800 * PERCENT))
    tree = Node(keys[0])
    for key in keys[1:]:
        tree.insert(key)
    digest.update(repr(sum(i * k for i, k in enumerate(tree))).encode())
    counts = {}
    for key in keys:
        word = f"{key % 977:x}"
        counts[word] = counts.get(word, 0) + 1
    text = json.dumps([{"word": w, "count": c, "list": [c, w, None, c / 3]} for w, c in sorted(counts.items())] * 4)
    again = json.loads(text)
    digest.update(json.dumps(sorted(again, key=lambda e: (-e["count"], e["word"])), indent=1).encode())
    digest.update("".join(m[1] for m in re.finditer(r'"word": "([0-9]+[a-f])"', text)).encode())
    product = 1
    for key in keys[: 90 * PERCENT]:
        product = product * (key | 1) & (1 << 2048) - 1
    digest.update(hex(product).encode())
    print(digest.hexdigest())


main()

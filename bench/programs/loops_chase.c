// Hot loops: dependent loads through a linked ring of 256 KiB.
#include "program.h"

enum { NODES = 1 << 14 };
static struct node {
  struct node* next;
  uint64_t value;
} nodes[NODES];

int main(int argc, char** argv) {
  const long n = scaled(argc, argv, 80000000);
  for (unsigned i = 0; i < NODES; ++i) {
    nodes[i].next = &nodes[(i * 5167 + 1) % NODES];
    nodes[i].value = i;
  }
  const struct node* at = nodes;
  uint64_t sum = 0;
  for (long i = 0; i < n; ++i) {
    sum += at->value;
    at = at->next;
  }
  mix(sum);
  return finish();
}

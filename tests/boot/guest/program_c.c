// Compiled in the guest and on the host: integers of all widths, floating point, strings, recursion, a hash, varargs.
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
  struct node *left, *right;
  uint32_t key;
};

static uint32_t state = 12345;
static uint32_t draw(void) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

static struct node *insert(struct node *tree, uint32_t key) {
  if (tree == NULL) {
    tree = calloc(1, sizeof *tree);
    tree->key = key;
  } else if (key < tree->key) {
    tree->left = insert(tree->left, key);
  } else {
    tree->right = insert(tree->right, key);
  }
  return tree;
}

static unsigned depth(const struct node *tree) {
  if (tree == NULL) return 0;
  const unsigned left = depth(tree->left), right = depth(tree->right);
  return 1 + (left > right ? left : right);
}

static uint64_t fold(const struct node *tree, uint64_t hash) {
  if (tree == NULL) return hash;
  hash = fold(tree->left, hash);
  hash = (hash ^ tree->key) * 0x100000001b3u;
  return fold(tree->right, hash);
}

static double integrate(double (*f)(double), double from, double to, int steps) {
  double sum = 0;
  for (int i = 0; i < steps; i++) sum += f(from + (to - from) * (i + 0.5) / steps);
  return sum * (to - from) / steps;
}

static double curve(double x) { return sqrt(x) * exp(-x) + fabs(sin(3 * x)) / (1 + x); }

static int64_t total(int count, ...) {
  va_list arguments;
  va_start(arguments, count);
  int64_t sum = 0;
  for (int i = 0; i < count; i++) sum += va_arg(arguments, int64_t);
  va_end(arguments);
  return sum;
}

static int compare(const void *a, const void *b) {
  const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

int main(void) {
  struct node *tree = NULL;
  for (int i = 0; i < 20000; i++) tree = insert(tree, draw());
  printf("tree %u %016llx\n", depth(tree), (unsigned long long)fold(tree, 0xcbf29ce484222325u));

  float matrix[24][24], product[24][24];
  for (int i = 0; i < 24; i++)
    for (int j = 0; j < 24; j++) matrix[i][j] = (float)((i * 7 + j * 3) % 11) / 4;
  memset(product, 0, sizeof product);
  for (int i = 0; i < 24; i++)
    for (int j = 0; j < 24; j++)
      for (int k = 0; k < 24; k++) product[i][j] += matrix[i][k] * matrix[k][j];
  printf("matrix %.3f %.3f\n", (double)product[3][5], (double)product[23][0]);

  printf("integral %.9f\n", integrate(curve, 0, 5, 20000));
  printf("total %lld\n", (long long)total(4, (int64_t)1 << 40, (int64_t)-5, (int64_t)7, (int64_t)1 << 33));
  const long double third = 1.0L / 3;
  printf("long double %.19Lg %.19Lg\n", third * third, sqrtl(2));
  __extension__ const unsigned __int128 wide = (unsigned __int128)0xfedcba9876543210u * 0x123456789abcdefu;
  printf("128 bits %016llx%016llx / 10^9 %016llx\n", (unsigned long long)(wide >> 64), (unsigned long long)wide,
         (unsigned long long)(wide / 1000000000u));

  uint32_t numbers[5000];
  for (int i = 0; i < 5000; i++) numbers[i] = draw() % 100000;
  qsort(numbers, 5000, sizeof numbers[0], compare);
  printf("sorted %u %u %u\n", numbers[0], numbers[2500], numbers[4999]);

  char text[4096] = "";
  for (int i = 0; i < 200; i++) snprintf(text + strlen(text), sizeof text - strlen(text), "%x,%d;", i * i, -i);
  printf("text %zu %.24s %s\n", strlen(text), strstr(text, "100,"), strrchr(text, ','));
  printf("parsed %.17g %ld %lu\n", strtod("1.7976931348623157e308", NULL), strtol("-0x7fff", NULL, 0), strtoul("777", NULL, 8));
  printf("bits %d %d %d\n", __builtin_popcountll(0x123456789abcdef), __builtin_clz(1000), __builtin_ctzll(1ull << 40));
  return 0;
}

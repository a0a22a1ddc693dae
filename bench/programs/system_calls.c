// System calls that do nothing much.
#include <sys/syscall.h>
#include <unistd.h>

#include "program.h"

int main(int argc, char** argv) {
  const long n = scaled(argc, argv, 3000000);
  uint64_t sum = 0;
  for (long i = 0; i < n; ++i) sum += (uint64_t)syscall(SYS_getppid) != 0;
  mix(sum);
  return finish();
}

// Signals delivered and returned from.
#include <signal.h>
#include <unistd.h>

#include "program.h"

static volatile sig_atomic_t count;
static void on_signal(int number) { count += number == SIGUSR1; }

int main(int argc, char** argv) {
  const long n = scaled(argc, argv, 500000);
  signal(SIGUSR1, on_signal);
  for (long i = 0; i < n; ++i) raise(SIGUSR1);
  mix((uint64_t)count);
  return finish();
}

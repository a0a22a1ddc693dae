// Processes made and ended.
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

int main(int argc, char** argv) {
  const long n = scaled(argc, argv, 4500);
  for (long i = 0; i < n; ++i) {
    const pid_t child = fork();
    if (child == 0) _exit((int)(i & 63));
    int status = 0;
    waitpid(child, &status, 0);
    mix((uint64_t)status);
  }
  return finish();
}

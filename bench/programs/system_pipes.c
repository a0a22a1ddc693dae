// Two processes that hand a byte to and fro through pipes.
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

int main(int argc, char** argv) {
  const long n = scaled(argc, argv, 100000);
  int there[2], back[2];
  if (pipe(there) != 0 || pipe(back) != 0) return 1;
  const pid_t child = fork();
  unsigned char byte = 0;
  if (child == 0) {
    for (long i = 0; i < n; ++i) {
      if (read(there[0], &byte, 1) != 1) _exit(1);
      ++byte;
      if (write(back[1], &byte, 1) != 1) _exit(1);
    }
    _exit(0);
  }
  for (long i = 0; i < n; ++i) {
    if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) return 1;
  }
  int status = 1;
  waitpid(child, &status, 0);
  mix(byte);
  mix((uint64_t)status);
  return finish();
}

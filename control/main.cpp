// The entry point; everything else is in control/cli.h.

#include <fcntl.h>
#include <unistd.h>

#include "control/cli.h"

namespace {

/// A caller may have closed the standard descriptors; the next file opened would take their place, and be
/// read as the keyboard or written to as the terminal.
void open_standard_descriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) < 0) static_cast<void>(open("/dev/null", O_RDWR));
  }
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_descriptors();
  return orrery::control::run_command_line(std::vector<std::string>(argv + 1, argv + argc));
}

// The entry point; everything else is in control/cli.h.

#include "control/cli.h"

int main(int argc, char** argv) {
  return orrery::control::run_command_line(std::vector<std::string>(argv + 1, argv + argc));
}

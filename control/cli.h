// The program: from arguments to an exit status.
#pragma once

#include <string>
#include <vector>

namespace orrery::control {

/// `arguments` without the program's name. Prints errors as one line, "orrery: ...".
int run_command_line(const std::vector<std::string>& arguments);

}  // namespace orrery::control

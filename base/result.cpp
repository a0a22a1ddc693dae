#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace orrery {

Error make_errno_error(std::string_view what) {
  const int number = errno;
  return Error{fmt::format("{}: {}", what, std::strerror(number))};
}

}  // namespace orrery

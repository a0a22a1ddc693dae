#include "jit/return_stack.h"

#include <sys/mman.h>

namespace orrery::jit {

// Little of it is ever touched.
Result<ReturnStack> ReturnStack::create() {
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
  void* const bottom = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  if (bottom == MAP_FAILED) return make_errno_error("mapping the stack for translated code");
  ReturnStack stack(static_cast<u8*>(bottom));
  if (mprotect(bottom, kGuardBytes, PROT_NONE) != 0)
    return make_errno_error("guarding the stack for translated code");
  madvise(bottom, kBytes, MADV_NOHUGEPAGE);
  return stack;
}

ReturnStack::~ReturnStack() {
  if (bottom_ != nullptr) munmap(bottom_, kBytes);
}

}  // namespace orrery::jit

// HostVector: a std::vector for tables of megabytes, whose elements may be left uninitialised. Its memory
// comes from the host when it is first touched, in huge pages where the host has them.
#pragma once

#include <new>
#include <vector>

#include "base/host_memory.h"

namespace orrery {

template <class T>
struct HostAllocator {
  using value_type = T;
  HostAllocator() = default;
  template <class U>
  HostAllocator(const HostAllocator<U>&) {}  // NOLINT: allocators convert

  T* allocate(size_t count) {
    u8* const pages = map_host_pages(count * sizeof(T));
    if (pages == nullptr) throw std::bad_alloc();
    return reinterpret_cast<T*>(pages);
  }
  void deallocate(T* at, size_t count) { unmap_host_pages(reinterpret_cast<u8*>(at), count * sizeof(T)); }
  /// An element without a value stays as it is in memory, if its type allows that: nothing is touched.
  template <class U>
  void construct(U* at) {
    ::new (static_cast<void*>(at)) U;
  }
  template <class U, class... Args>
  void construct(U* at, Args&&... args) {
    ::new (static_cast<void*>(at)) U(std::forward<Args>(args)...);
  }
  bool operator==(const HostAllocator&) const { return true; }
};

template <class T>
using HostVector = std::vector<T, HostAllocator<T>>;

}  // namespace orrery

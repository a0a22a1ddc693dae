// InitrdFormat: whether a file can be a Linux initial RAM disk, before a guest finds out in its own words.
//
// Formats as the kernel takes them: newc cpio archives, compressed or not, one after the other with zeros
// between [Documentation/driver-api/early-userspace/buffer-format.rst], or one file system image
// [admin-guide/initrd.rst]. Archives and gzip streams are read to their end, so that a truncated file is
// found. Not modelled: the content of bzip2, lzma, xz, lzo, lz4 and zstd streams, and of file system images.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "base/types.h"

namespace orrery::machine {

/// Fails with one line naming `name` if no Linux kernel could use `image`.
Result<> check_initrd(std::span<const u8> image, std::string_view name);

}  // namespace orrery::machine

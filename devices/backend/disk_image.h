// DiskImage: a raw disk image on the host.
//
// Modes: direct (writes reach the file), read-only, snapshot (writes stay in an overlay in memory, which is
// part of the machine's state). An advisory lock keeps a file that one machine writes away from every other
// machine. Not thread-safe; its user gives it to one thread at a time.
#pragma once

#include <array>
#include <memory>
#include <set>
#include <span>
#include <string>

#include "base/result.h"
#include "base/state_visitor.h"
#include "base/types.h"

namespace orrery::devices {

class DiskImage {
 public:
  static constexpr u64 kSectorBytes = 512;
  static constexpr u64 kBlockBytes = 4096;  // of the overlay
  enum class Mode : u8 { kDirect, kReadOnly, kSnapshot };

  /// Fails with one line when the file is missing, a directory, locked, empty or not a multiple of 512 bytes.
  static Result<std::unique_ptr<DiskImage>> open(const std::string& path, Mode mode);
  ~DiskImage();
  DiskImage(const DiskImage&) = delete;
  DiskImage& operator=(const DiskImage&) = delete;

  u64 size_bytes() const { return size_bytes_; }
  Mode mode() const { return mode_; }
  const std::string& path() const { return path_; }

  /// Ranges must lie inside the image.
  Result<> read(u64 offset, std::span<u8> out);
  Result<> write(u64 offset, std::span<const u8> data);
  Result<> write_zeroes(u64 offset, u64 size_bytes);
  /// A hint that is checked and not taken: what a host's file system would make of it must not reach the
  /// guest.
  Result<> discard(u64 offset, u64 size_bytes);
  Result<> flush();

  /// The overlay; nothing in the other modes.
  void visit_state(StateVisitor& v);

 private:
  using Block = std::array<u8, kBlockBytes>;
  DiskImage(int descriptor, std::string path, Mode mode, u64 size_bytes)
      : descriptor_(descriptor), path_(std::move(path)), mode_(mode), size_bytes_(size_bytes) {}
  Result<> read_file(u64 offset, std::span<u8> out);
  Result<> open_overlay();
  /// Reads or writes one whole block of the overlay's file.
  Result<> read_overlay(u64 index, Block& block);
  Result<> write_overlay(u64 index, const Block& block);

  const int descriptor_;
  const std::string path_;
  const Mode mode_;
  const u64 size_bytes_;
  /// The blocks written in snapshot mode lie at their own offsets in an unnamed temporary file (in $TMPDIR or
  /// /tmp), so that a guest that writes much fills a disk of the host, which is an error with a name, and not
  /// its memory.
  int overlay_descriptor_ = -1;
  std::set<u64> overlay_;
};

}  // namespace orrery::devices

#include "machine/recording.h"

#include <charconv>

#include "base/host_file.h"
#include "machine/config_toml.h"

namespace orrery::machine {
namespace {

constexpr std::string_view kImagePrefix = "# image ";

std::vector<std::string> image_files(const Config& config) {
  std::vector<std::string> files;
  if (!config.kernel.empty()) files.push_back(config.kernel);
  if (!config.initrd.empty()) files.push_back(config.initrd);
  for (const DiskConfig& disk : config.disks) files.push_back(disk.file);
  return files;
}

}  // namespace

Result<std::string> describe_machine(const Config& config) {
  std::string text = to_toml(config);
  if (!text.empty() && text.back() != '\n') text += '\n';
  for (const std::string& file : image_files(config)) {
    TRY_ASSIGN(const FileIdentity identity, identify_host_file(file));
    text += fmt::format("{}{} {:016x} {}\n", kImagePrefix, identity.size_bytes, identity.hash, file);
  }
  return text;
}

Result<Config> restore_machine(const std::string& description) {
  Config config;
  TRY(apply_toml(config, description, "the log's description"));
  std::vector<std::string> recorded;
  for (size_t at = 0; at < description.size();) {
    const size_t end = std::min(description.find('\n', at), description.size());
    const std::string_view line = std::string_view(description).substr(at, end - at);
    if (line.starts_with(kImagePrefix)) recorded.emplace_back(line.substr(kImagePrefix.size()));
    at = end + 1;
  }
  const std::vector<std::string> files = image_files(config);
  if (recorded.size() != files.size()) return make_error("the log's description does not name its images");
  for (size_t i = 0; i < files.size(); ++i) {
    TRY_ASSIGN(const FileIdentity now, identify_host_file(files[i]));
    const std::string found = fmt::format("{} {:016x} {}", now.size_bytes, now.hash, files[i]);
    if (found != recorded[i]) {
      return make_error(
          "'{}' differs from what was recorded: it has {} bytes and hash {:016x}, recorded was '{}'",
          files[i], now.size_bytes, now.hash, recorded[i]);
    }
  }
  return config;
}

}  // namespace orrery::machine

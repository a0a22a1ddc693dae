// TOML by toml++; its types stop in this file.

#include "machine/config_toml.h"

#include <cerrno>
#include <cstdio>
#include <optional>

#include <toml++/toml.h>

namespace orrery::machine {
namespace {

/// Untrusted text within a message: one printable line.
std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) line += static_cast<u8>(c) < 0x20 || c == 0x7f ? '?' : c;
  return line;
}

/// "pc.toml:14:9: what".
Error error_at(std::string_view name, const toml::source_region& where, std::string_view what) {
  return make_error("{}:{}:{}: {}", name, where.begin.line, where.begin.column, one_line(what));
}

std::string_view wanted(ConfigType type) {
  switch (type) {
    case ConfigType::kText:
      return "a string";
    case ConfigType::kBool:
      return "true or false";
    case ConfigType::kNumber:
      return "a whole number from 0 on";
    case ConfigType::kSize:
      return "a number of bytes or a string such as \"512M\"";
    case ConfigType::kRate:
      break;
  }
  return "a number or a string such as \"0.25\"";
}

/// The text form of a TOML value; nothing if its type does not suit the key.
std::optional<std::string> text_of(const toml::node& node, ConfigType type) {
  const bool string_suits = type == ConfigType::kText || type == ConfigType::kSize ||
                            type == ConfigType::kRate || type == ConfigType::kNumber;
  if (const auto* string = node.as_string(); string != nullptr && string_suits) return string->get();
  if (const auto* boolean = node.as_boolean(); boolean != nullptr && type == ConfigType::kBool) {
    return boolean->get() ? "true" : "false";
  }
  if (const auto* integer = node.as_integer(); integer != nullptr && integer->get() >= 0) {
    if (type == ConfigType::kNumber || type == ConfigType::kSize || type == ConfigType::kRate) {
      return fmt::format("{}", integer->get());
    }
  }
  if (const auto* real = node.as_floating_point(); real != nullptr && type == ConfigType::kRate) {
    // Ten places are all that a rate has; infinities, NaN and negative ones fail as text.
    std::string text = fmt::format("{:.10f}", real->get());
    if (text.find('.') != std::string::npos) text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text;
  }
  return std::nullopt;
}

/// TOML's integers are signed; a larger number is printed, and read, as a string.
bool needs_quotes(const ConfigKey& key, std::string_view text) {
  if (key.type == ConfigType::kBool) return false;
  return key.type != ConfigType::kNumber || text.size() >= 19;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

struct Reader {
  Config& config;
  std::string_view name;

  Result<> apply(std::string_view key, ConfigType type, const toml::node& node,
                 const toml::source_region& where) {
    const auto text = text_of(node, type);
    if (!text) return error_at(name, node.source(), fmt::format("key '{}': {} is wanted", key, wanted(type)));
    auto set = set_config_value(config, key, *text);
    if (!set) return error_at(name, where, fmt::format("key '{}': {}", key, set.error().message));
    return {};
  }

  Result<> apply_disk(const toml::node& node) {
    const toml::table* table = node.as_table();
    if (table == nullptr) return error_at(name, node.source(), "a disk is a table: [[disk]]");
    const size_t index = config.disks.size();
    if (table->get("file") == nullptr) return error_at(name, table->source(), "a disk needs the key 'file'");
    for (const auto& [key, value] : *table) {
      const bool is_file = key.str() == "file";
      if (!is_file && key.str() != "snapshot" && key.str() != "read_only") {
        return error_at(
            name, key.source(),
            fmt::format("unknown key '{}'; a disk has 'file', 'snapshot', 'read_only'", key.str()));
      }
      TRY(apply(fmt::format("disk.{}.{}", index, key.str()), is_file ? ConfigType::kText : ConfigType::kBool,
                value, value.source()));
    }
    return {};
  }

  Result<> unknown(std::string_view table, const toml::key& key) {
    std::string right;
    std::string_view last_group;
    for (const ConfigKey& known : config_keys()) {
      const size_t dot = known.name.find('.');
      const std::string_view group =
          dot == std::string_view::npos ? std::string_view{} : known.name.substr(0, dot);
      if (group == table) {
        right += fmt::format("'{}', ", group.empty() ? known.name : known.name.substr(dot + 1));
      } else if (table.empty() && group != last_group) {
        right += fmt::format("[{}], ", group);
      }
      last_group = group;
    }
    if (table.empty()) right += "[[disk]], ";
    right.resize(right.size() - 2);
    return error_at(name, key.source(),
                    table.empty()
                        ? fmt::format("unknown key '{}'; known: {}", key.str(), right)
                        : fmt::format("unknown key '{}' in [{}]; known: {}", key.str(), table, right));
  }

  Result<> apply_table(std::string_view prefix, const toml::table& table) {
    for (const auto& [key, value] : table) {
      const std::string full =
          prefix.empty() ? std::string(key.str()) : fmt::format("{}.{}", prefix, key.str());
      const ConfigKey* found = nullptr;
      bool is_group = false;
      for (const ConfigKey& known : config_keys()) {
        if (known.name == full) found = &known;
        is_group |= known.name.starts_with(full + ".");
      }
      if (prefix.empty() && full == "disk") {
        const toml::array* disks = value.as_array();
        if (disks == nullptr) return error_at(name, key.source(), "disks are an array of tables: [[disk]]");
        for (const toml::node& disk : *disks) TRY(apply_disk(disk));
      } else if (found != nullptr) {
        TRY(apply(full, found->type, value, value.source()));
      } else if (is_group) {
        const toml::table* inner = value.as_table();
        if (inner == nullptr)
          return error_at(name, key.source(), fmt::format("'{}' is a table: [{}]", full, full));
        TRY(apply_table(full, *inner));
      } else {
        return unknown(prefix, key);
      }
    }
    return {};
  }
};

}  // namespace

Result<> apply_toml(Config& config, std::string_view text, std::string_view name) {
  if (text.size() > kMaxConfigFileBytes) {
    return make_error("{}: a machine file has at most {} bytes", name, kMaxConfigFileBytes);
  }
  try {
    const toml::table table = toml::parse(text, name);
    return Reader{.config = config, .name = name}.apply_table("", table);
  } catch (const toml::parse_error& error) {
    std::string what(error.description());
    if (!what.empty() && what[0] >= 'A' && what[0] <= 'Z') what[0] = static_cast<char>(what[0] - 'A' + 'a');
    return error_at(name, error.source(), what);
  }
}

Result<> apply_toml_file(Config& config, const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) return make_errno_error(fmt::format("opening the machine file '{}'", path));
  std::string text(kMaxConfigFileBytes + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  const bool failed = std::ferror(file) != 0;
  const int error = errno;
  std::fclose(file);
  if (failed) {
    errno = error;
    return make_errno_error(fmt::format("reading the machine file '{}'", path));
  }
  return apply_toml(config, text, path);
}

std::string to_toml(const Config& config) {
  std::string out = "# orrery machine description\n";
  std::string_view last_group;
  for (const ConfigKey& key : config_keys()) {
    const size_t dot = key.name.find('.');
    const std::string_view group =
        dot == std::string_view::npos ? std::string_view{} : key.name.substr(0, dot);
    const std::string_view short_name = group.empty() ? key.name : key.name.substr(dot + 1);
    if (group != last_group) out += fmt::format("\n[{}]\n", group);
    last_group = group;
    const bool shown = key.shown == nullptr || key.shown(config);
    const std::string text = key.get(config);
    out += fmt::format("{}{} = {}  # {}\n", shown ? "" : "# ", short_name,
                       needs_quotes(key, text) ? quoted(text) : text, key.description);
  }
  for (const DiskConfig& disk : config.disks) {
    out += fmt::format("\n[[disk]]\nfile = {}\nsnapshot = {}\nread_only = {}\n", quoted(disk.file),
                       disk.snapshot, disk.read_only);
  }
  return out;
}

}  // namespace orrery::machine

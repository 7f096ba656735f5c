#include "app/field_flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "grpo/base/error.h"
#include "grpo/config/config.h"

namespace grpo::app {
namespace {

std::string flag_of(const std::string& name) {
  std::string flag = "--" + name;
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

void read(const base::Field& field, const std::string& text) {
  try {
    config::read_field(field, flag_of(field.name), text);
  } catch (const base::ConfigError& error) {
    throw base::ConfigError(base::concat(error.what(), "; ", field.doc));
  }
}

void add_flag(CLI::App& command, const base::Field& field) {
  if (const auto* toggle = std::get_if<bool*>(&field.value)) {
    command.add_flag(flag_of(field.name), **toggle, field.doc);
    return;
  }
  auto* option = command
                     .add_option_function<std::string>(
                         flag_of(field.name), [field](const std::string& text) { read(field, text); }, field.doc)
                     ->type_name(config::kind_text(field));
  // A list of sections has no value on one line.
  if (!std::holds_alternative<base::SectionListField>(field.value)) option->default_str(config::value_text(field));
}

}  // namespace

void add_flags(CLI::App& command, const base::Fields& fields) {
  for (const auto& field : fields.list()) add_flag(command, field);
}

void add_flags(CLI::App& command, base::Fields fields, const std::vector<std::string>& names) {
  for (const auto& name : names) add_flag(command, fields.at(name));
}

}  // namespace grpo::app

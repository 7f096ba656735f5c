// A YAML configuration and overrides (its lines that begin with "--"): read into a struct with a key of every type.
// What is accepted is written and read again as the same.
#include <cstdlib>
#include <sstream>
#include <vector>

#include "config/sample.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace base = grpo::base;
  namespace config = grpo::config;
  namespace fuzz = grpo::testing;
  static fuzz::ScratchFile file("a.yaml"), again("b.yaml");
  std::istringstream in{std::string(fuzz::text_of(data, size))};
  std::string yaml;
  std::vector<std::string> overrides;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("--")) {
      overrides.push_back(line.substr(2));
    } else {
      yaml += line + "\n";
    }
  }
  config::Everything first, second;
  bool accepted = false;
  fuzz::may_refuse([&] {
    config::load(base::fields_of(first), {.file = file.with(yaml), .overrides = overrides});
    accepted = true;
  });
  if (!accepted) return 0;
  const std::string written = config::to_yaml(base::fields_of(first));
  config::load(base::fields_of(second), {.file = again.with(written), .overrides = {}});  // an error here is a fault
  if (config::to_yaml(base::fields_of(second)) != written) std::abort();
  return 0;
}

#include "grpo/base/cache.h"

#include <cstdlib>

namespace grpo::base {
namespace {

std::filesystem::path variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::filesystem::path cache_folder() {
  if (auto own = variable("GRPO_CACHE"); !own.empty()) return own;
  if (const auto caches = variable("XDG_CACHE_HOME"); !caches.empty()) return caches / "grpo-train";
  if (const auto home = variable("HOME"); !home.empty()) return home / ".cache" / "grpo-train";
  return {};
}

}  // namespace grpo::base

#include "grpo/base/cache.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <optional>
#include <string>

namespace grpo::base {
namespace {

// Puts variables of the environment back.
class Environment {
 public:
  using Values = std::map<std::string, std::string>;
  explicit Environment(const Values& values) {
    for (const char* name : {"GRPO_CACHE", "XDG_CACHE_HOME", "HOME"}) {
      const char* value = std::getenv(name);
      before_[name] = value == nullptr ? std::nullopt : std::optional<std::string>(value);
      set(name, values.contains(name) ? std::optional(values.at(name)) : std::nullopt);
    }
  }
  ~Environment() {
    for (const auto& [name, value] : before_) set(name, value);
  }

  Environment(const Environment&) = delete;

 private:
  static void set(const std::string& name, const std::optional<std::string>& value) {
    value ? setenv(name.c_str(), value->c_str(), 1) : unsetenv(name.c_str());
  }
  std::map<std::string, std::optional<std::string>> before_;
};

TEST(CacheFolder, FollowsTheEnvironment) {
  EXPECT_EQ((Environment(Environment::Values{{"GRPO_CACHE", "/a"}, {"HOME", "/h"}}), cache_folder()), "/a");
  EXPECT_EQ((Environment(Environment::Values{{"XDG_CACHE_HOME", "/x"}, {"HOME", "/h"}}), cache_folder()),
            "/x/grpo-train");
  EXPECT_EQ((Environment(Environment::Values{{"HOME", "/h"}}), cache_folder()), "/h/.cache/grpo-train");
  EXPECT_EQ((Environment(Environment::Values()), cache_folder()), "");
}

}  // namespace
}  // namespace grpo::base

#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "grpo/base/error.h"
#include "grpo/base/fields.h"
#include "grpo/config/config.h"

// A configuration with one key of every type, and a folder of its own for each test.

namespace grpo::config {

enum class Color { kRed, kGreen, kDarkBlue };
inline std::vector<std::string> enum_names(Color) { return {"red", "green", "dark_blue"}; }

struct Inner {
  double coef = 0.5;
  std::optional<int64_t> limit;
  bool operator==(const Inner&) const = default;
  GRPO_FIELDS(f) {
    f("coef", coef, "a coefficient", base::at_least(0));
    f("limit", limit, "a limit", base::at_least(1));
  }
};

struct Term {
  std::string type;
  double weight = 1.0;
  bool operator==(const Term&) const = default;
  GRPO_FIELDS(f) {
    f("type", type, "which reward");
    f("weight", weight, "its weight", base::above(0));
  }
};

struct Plan {
  std::string name;
  Inner inner;
  bool operator==(const Plan&) const = default;
  GRPO_FIELDS(f) {
    f("name", name, "its name");
    f("inner", inner, "a section in a list");
  }
};

struct Everything {
  bool flag = false;
  int64_t count = 4;
  double rate = 0.25;
  std::string text = "hello";
  std::optional<int64_t> maybe_count;
  std::optional<double> maybe_rate = 1.5;
  base::Auto<int64_t> auto_count;
  base::Auto<double> auto_rate{2.5};
  std::vector<std::string> names = {"a", "b"};
  std::vector<int64_t> ids;
  std::vector<double> betas = {0.9, 0.999};
  base::TextOrMap chat{.text = "auto", .map = {}};
  Color color = Color::kGreen;
  Inner inner;
  bool operator==(const Everything&) const = default;
  GRPO_FIELDS(f) {
    f("flag", flag, "a switch");
    f("count", count, "how many", base::at_least(1));
    f("rate", rate, "how fast", base::above(0));
    f("text", text, "what to say");
    f("maybe_count", maybe_count, "how many at most", base::at_least(1));
    f("maybe_rate", maybe_rate, "how fast at most", base::between(0, 10));
    f("auto_count", auto_count, "how many tokens", base::at_least(1));
    f("auto_rate", auto_rate, "rotary base", base::above(0));
    f("names", names, "some names");
    f("ids", ids, "some numbers", base::at_least(0));
    f("betas", betas, "decay rates", base::Range{.min = 0, .max = 1, .open_min = true});
    f("chat", chat, "a template | or its parts");
    f("color", color, "of the line");
    f("inner", inner, "a section below");
  }
};

struct Sample {
  Everything all;
  std::vector<Term> terms;
  std::vector<Plan> plans;
  bool operator==(const Sample&) const = default;
  GRPO_FIELDS(f) {
    f("all", all, "one key of every type");
    f("terms", terms, "rewards that are added");
    f("plans", plans, "sections that hold sections");
  }
};

/// Runs each test in an empty current directory.
class ConfigTest : public testing::Test {
 protected:
  void SetUp() override {
    before_ = std::filesystem::current_path();
    std::string pattern = (std::filesystem::temp_directory_path() / "grpo_config_XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = std::filesystem::canonical(pattern);
    std::filesystem::current_path(folder_);
  }
  void TearDown() override {
    std::filesystem::current_path(before_);
    std::filesystem::remove_all(folder_);
  }

  static void write(const std::filesystem::path& file, const std::string& text) {
    if (file.has_parent_path()) std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
  }

  /// Loads `text` as a.yaml.
  static Sample read(const std::string& text, const std::vector<std::string>& overrides = {}) {
    write("a.yaml", text);
    Sample sample;
    load(base::fields_of(sample), {.file = "a.yaml", .overrides = overrides});
    return sample;
  }

  static Sample read_overrides(const std::vector<std::string>& overrides) {
    Sample sample;
    load(base::fields_of(sample), {.file = {}, .overrides = overrides});
    return sample;
  }

  std::filesystem::path folder_;

 private:
  std::filesystem::path before_;
};

/// The message of the ConfigError that `action` throws; "" (and a failure) if it throws none.
template <typename Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const base::ConfigError& error) {
    return error.what();
  }
  ADD_FAILURE() << "no ConfigError was thrown";
  return "";
}

}  // namespace grpo::config

#include "app/field_flags.h"

#include <gmock/gmock.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "grpo/base/error.h"
#include "support/message_of.h"

namespace grpo::app {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

enum class Color { kRed, kBlue };
std::vector<std::string> enum_names(Color) { return {"red", "blue"}; }

struct Options {
  double top_p = 0.5;
  int64_t max_new_tokens = 4;
  std::string system = "auto";
  Color color = Color::kRed;
  bool greedy = false;
  GRPO_FIELDS(f) {
    f("top_p", top_p, "share that is kept", base::Range{.min = 0, .max = 1, .open_min = true});
    f("max_new_tokens", max_new_tokens, "longest completion", base::at_least(1));
    f("system", system, "message");
    f("color", color, "of the paint");
    f("greedy", greedy, "takes the likeliest");
  }
};

Options parsed(std::vector<std::string> arguments) {
  Options options;
  CLI::App command;
  add_flags(command, base::fields_of(options));
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them last first
  command.parse(arguments);
  return options;
}

TEST(FieldFlags, SetEachFieldByItsName) {
  const Options options =
      parsed({"--top-p", "1", "--max-new-tokens=1e2", "--system", "", "--color", "blue", "--greedy"});
  EXPECT_EQ(options.top_p, 1.0);
  EXPECT_EQ(options.max_new_tokens, 100);
  EXPECT_EQ(options.system, "");
  EXPECT_EQ(options.color, Color::kBlue);
  EXPECT_TRUE(options.greedy);
}

TEST(FieldFlags, LeaveTheDefaultsOfWhatIsNotGiven) {
  const Options options = parsed({});
  EXPECT_EQ(options.top_p, 0.5);
  EXPECT_EQ(options.system, "auto");
  EXPECT_FALSE(options.greedy);
}

TEST(FieldFlags, SayWhatWasExpectedAndWhatTheFlagMeans) {
  const auto message = [](const std::vector<std::string>& arguments) {
    return message_of<base::ConfigError>([&] { parsed(arguments); });
  };
  EXPECT_THAT(message({"--top-p", "0"}), HasSubstr("--top-p: expected a number in (0, 1], got 0; share that is kept"));
  EXPECT_THAT(message({"--max-new-tokens", "-1"}), HasSubstr("--max-new-tokens: expected an integer >= 1, got -1"));
  EXPECT_THAT(message({"--color", "bluee"}), HasSubstr("--color: unknown value bluee (did you mean blue?)"));
}

TEST(FieldFlags, AreMadeForTheNamedFieldsAlone) {
  Options options;
  CLI::App command;
  add_flags(command, base::fields_of(options), {"color"});
  EXPECT_THAT(command.help(), HasSubstr("--color red|blue=red"));
  EXPECT_EQ(command.get_option_no_throw("--top-p"), nullptr);
  EXPECT_THROW(add_flags(command, base::fields_of(options), {"colour"}), std::out_of_range);
}

}  // namespace
}  // namespace grpo::app

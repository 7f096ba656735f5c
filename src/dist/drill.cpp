#include "dist/drill.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <map>
#include <sstream>
#include <string_view>
#include <thread>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/base/text.h"

namespace grpo::dist {
namespace {

constexpr const char* kVariable = "GRPO_DRILL";
constexpr std::array<const char*, 4> kActions = {"kill", "stop", "throw", "sleep"};  // in the order of Drill::Action
// The phases that the trainer passes to enter_phase, without the step.
constexpr std::array<const char*, 8> kPhases = {"start",  "rollout",   "reward",     "exchange",
                                                "update", "reduction", "checkpoint", "evaluation"};

[[noreturn]] void malformed(const std::string& text, const std::string& why) {
  throw base::ConfigError(base::concat(kVariable, "=\"", text, "\": ", why,
                                       "; expected words like rank=1 step=3 phase=update action=kill"));
}

template <typename Names>
std::string listed(const Names& names) {
  return base::join(std::vector<std::string>(names.begin(), names.end()), ", ");
}

std::map<std::string, std::string> words_of(const std::string& text) {
  std::map<std::string, std::string> words;
  std::istringstream in(text);
  for (std::string word; in >> word;) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) malformed(text, "\"" + word + "\" is no key=value");
    if (!words.emplace(word.substr(0, equals), word.substr(equals + 1)).second) {
      malformed(text, word.substr(0, equals) + " is there twice");
    }
  }
  return words;
}

std::optional<std::string> take(std::map<std::string, std::string>& words, const char* key) {
  const auto found = words.extract(key);
  if (found.empty()) return std::nullopt;
  return found.mapped();
}

std::optional<int64_t> take_number(std::map<std::string, std::string>& words, const char* key,
                                   const std::string& text) {
  const auto word = take(words, key);
  if (!word) return std::nullopt;
  int64_t number = 0;
  const auto [end, error] = std::from_chars(word->data(), word->data() + word->size(), number);
  if (error != std::errc() || end != word->data() + word->size() || number < 0) {
    malformed(text, base::concat(key, "=", *word, " is no whole number from 0"));
  }
  return number;
}

template <typename Names>
size_t take_name(std::map<std::string, std::string>& words, const char* key, const Names& names,
                 const std::string& text) {
  const auto word = take(words, key);
  if (!word) malformed(text, base::concat(key, " is missing"));
  const auto found = std::find(names.begin(), names.end(), std::string_view(*word));
  if (found == names.end()) malformed(text, base::concat(key, "=", *word, " is none of ", listed(names)));
  return static_cast<size_t>(found - names.begin());
}

}  // namespace

std::optional<Drill> drill_from(const Environment& environment, int64_t num_ranks) {
  const auto text = environment(kVariable);
  if (!text || text->empty()) return std::nullopt;
  auto words = words_of(*text);
  Drill drill;
  const auto rank = take_number(words, "rank", *text);
  if (!rank) malformed(*text, "rank is missing");
  if (*rank >= num_ranks) malformed(*text, base::concat("there are ", num_ranks, " ranks, from 0"));
  drill.rank = *rank;
  drill.step = take_number(words, "step", *text);
  drill.phase = kPhases[take_name(words, "phase", kPhases, *text)];
  drill.action = static_cast<Drill::Action>(take_name(words, "action", kActions, *text));
  drill.seconds = take_number(words, "seconds", *text);
  if (drill.seconds && drill.action != Drill::Action::kSleep) malformed(*text, "seconds belongs to action=sleep");
  if (!words.empty()) malformed(*text, words.begin()->first + " is no key of it");
  return drill;
}

bool applies(const Drill& drill, int64_t rank, const std::string& phase) {
  if (rank != drill.rank) return false;
  if (drill.step) return phase == base::concat("step ", *drill.step, ", ", drill.phase);
  return phase == drill.phase || phase.ends_with(", " + drill.phase);
}

void act(const Drill& drill, std::chrono::milliseconds until_known) {
  base::log_warning(base::concat(kVariable, ": ", kActions[static_cast<size_t>(drill.action)], " in ", drill.phase));
  switch (drill.action) {
    case Drill::Action::kKill:
      std::this_thread::sleep_for(until_known);
      std::raise(SIGKILL);
      return;
    case Drill::Action::kStop:
      std::this_thread::sleep_for(until_known);
      std::raise(SIGSTOP);
      return;
    case Drill::Action::kThrow:
      throw base::DistError(base::concat(kVariable, " asked this rank to fail"));
    case Drill::Action::kSleep:
      if (drill.seconds) return std::this_thread::sleep_for(std::chrono::seconds(*drill.seconds));
      while (true) std::this_thread::sleep_for(std::chrono::hours(1));
  }
}

}  // namespace grpo::dist

#include "grpo/reward/reward.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "grpo/base/error.h"
#include "reward/countdown.h"
#include "reward/term.h"

namespace grpo::reward {

using verifier::GoldUse;
using verifier::VerifierOptions;

namespace {

std::string type_name(const RewardTerm& term) { return enum_names(term.type)[static_cast<size_t>(term.type)]; }

// A term without a name is called by its type, and the second one of a type "regex_2".
std::vector<std::string> names_of(const std::vector<RewardTerm>& terms) {
  std::vector<std::string> names;
  std::map<TermType, int> unnamed;
  for (const RewardTerm& term : terms) {
    const int number = term.name.empty() ? ++unnamed[term.type] : 0;
    names.push_back(!term.name.empty() ? term.name
                    : number == 1      ? type_name(term)
                                       : base::concat(type_name(term), "_", number));
  }
  return names;
}

bool compares_with_gold(const RewardTerm& term) {
  return term.type == TermType::kMath || term.type == TermType::kExact || term.type == TermType::kNumeric ||
         term.type == TermType::kCountdown;
}

bool has(const RewardConfig& config, TermType type) {
  return std::any_of(config.terms.begin(), config.terms.end(),
                     [&](const RewardTerm& term) { return term.type == type; });
}

bool is_grader(const RewardTerm& term) { return term.type == TermType::kCommand || term.type == TermType::kHttp; }

bool judges(const RewardTerm& term) { return compares_with_gold(term) || is_grader(term); }

// Index of the first term that compares with the gold answer, else of the first grader; terms.size() without either.
size_t judge_among(const std::vector<RewardTerm>& terms) {
  const auto comparing = std::find_if(terms.begin(), terms.end(), compares_with_gold);
  const auto judge = comparing != terms.end() ? comparing : std::find_if(terms.begin(), terms.end(), is_grader);
  return static_cast<size_t>(judge - terms.begin());
}

class WeightedSum : public RewardFunction {
 public:
  explicit WeightedSum(const RewardConfig& config) : judge_(judge_among(config.terms)) {
    const VerifierOptions verifier = verifier_options(config.verifier);
    const auto names = names_of(config.terms);
    for (size_t i = 0; i < names.size(); ++i)
      parts_.push_back({names[i], config.terms[i].weight, make_term(config.terms[i], names[i], verifier)});
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& part : parts_) names.push_back(part.name);
    return names;
  }

  int concurrency() const override {
    int most = 1;
    for (const auto& part : parts_) most = std::max(most, part.term->concurrency());
    return most;
  }

  void cancel() const override {
    for (const auto& part : parts_) part.term->cancel();
  }

  std::vector<Score> score(std::span<const Item> items) const override {
    std::vector<Score> scores(items.size());
    for (size_t k = 0; k < parts_.size(); ++k) ask(k, items, scores);
    return scores;
  }

  std::vector<Score> judge(std::span<const Item> items) const override {
    std::vector<Score> scores(items.size());
    if (judge_ < parts_.size()) ask(judge_, items, scores);
    return scores;
  }

 private:
  struct Part {
    std::string name;
    double weight;
    std::unique_ptr<Term> term;
  };

  void ask(size_t k, std::span<const Item> items, std::vector<Score>& scores) const {
    auto values = parts_[k].term->values(items);
    for (size_t i = 0; i < items.size(); ++i) add(k, std::move(values[i]), scores[i]);
  }

  void add(size_t k, TermValue term, Score& score) const {
    const Part& part = parts_[k];
    if (!term.failure.empty()) score.failure = part.name + ": " + term.failure;
    score.values.push_back(term.value);
    score.reward += part.weight * term.value;
    score.magnitude += std::abs(part.weight * term.value);
    if (k == judge_) score.judged = term.value;
    if (term.verdict && k == judge_) score.verdict = std::move(*term.verdict);
    for (const auto& [name, value] : term.metrics) score.metrics.emplace_back(part.name + "/" + name, value);
  }

  std::vector<Part> parts_;
  size_t judge_;  // index of the term whose verdict is the score's; names().size() if there is none
};

[[noreturn]] void misplaced(const std::string& key, const char* type, const RewardTerm& term) {
  throw base::ConfigError(base::concat("reward.terms: ", key, " belongs to ", type, " term, not to ", type_name(term)));
}

// Of a term that asks no grader, what says how a grader is asked must have its default: it would have no effect.
void check_asks_nobody(const RewardTerm& term) {
  const RewardTerm defaults;
  std::string key;
  if (term.timeout_s != defaults.timeout_s) key = "timeout_s";
  if (term.workers != defaults.workers) key = "workers";
  if (term.retries != defaults.retries) key = "retries";
  if (term.on_failure != defaults.on_failure) key = "on_failure";
  if (term.right_at != defaults.right_at) key = "right_at";
  if (!key.empty()) misplaced(key, "a command or http", term);
}

void check(const RewardTerm& term) {
  if (!is_grader(term)) check_asks_nobody(term);
  const bool regex = term.type == TermType::kRegex;
  if (regex && term.pattern.empty())
    throw base::ConfigError("reward.terms: a regex term needs a pattern, such as {type: regex, pattern: '\\d+'}");
  if (!regex && !term.pattern.empty()) misplaced("pattern", "a regex", term);
  const bool command = term.type == TermType::kCommand;
  if (command && (term.command.empty() || term.command.front().empty())) {
    throw base::ConfigError(
        "reward.terms: a command term needs a command, a program with its arguments, such as {type: command, command: "
        "[python3, grader.py]}");
  }
  if (!command && !term.command.empty()) misplaced("command", "a command", term);
  const bool http = term.type == TermType::kHttp;
  if (http && term.url.empty()) {
    throw base::ConfigError(
        "reward.terms: an http term needs a url, such as {type: http, url: 'http://127.0.0.1:8000/grade'}");
  }
  if (!http && !term.url.empty()) misplaced("url", "an http", term);
}

}  // namespace

VerifierOptions verifier_options(const VerifierConfig& config) {
  VerifierOptions options;
  options.fallbacks = verifier::fallbacks_named(config.fallbacks);
  options.decimal_digits = static_cast<int>(config.decimal_digits);
  options.calculations = config.calculations;
  options.steps = config.steps;
  return options;
}

GoldUse gold_use(const RewardConfig& config) {
  if (has(config, TermType::kMath)) return GoldUse::kAnswer;
  if (has(config, TermType::kNumeric)) return GoldUse::kNumber;
  return has(config, TermType::kExact) || has(config, TermType::kCountdown) ? GoldUse::kText : GoldUse::kNone;
}

bool uses_graders(const RewardConfig& config) {
  return std::any_of(config.terms.begin(), config.terms.end(), is_grader);
}

bool needs_whole_rows(const RewardConfig& config) { return uses_graders(config) || has(config, TermType::kCountdown); }

std::string why_unfit(const RewardConfig& config, const std::string& gold, std::string_view row) {
  if (!has(config, TermType::kCountdown)) return "";
  try {
    read_countdown(gold, row);
    return "";
  } catch (const base::Error& error) {
    return error.what();
  }
}

RewardConfig judge_of(const RewardConfig& config, const std::string& judge) {
  RewardConfig judging = config;
  const auto names = names_of(config.terms);
  size_t k = judge_among(config.terms);
  if (judge != "auto") {
    for (k = 0; k < names.size() && (names[k] != judge || !judges(config.terms[k]));) ++k;
    if (k == names.size()) {
      throw base::ConfigError(
          "eval.judge: no term of reward.terms that judges answers (math, exact, numeric, countdown, command, http) is "
          "called " +
          judge);
    }
  }
  judging.terms = {k < names.size() ? config.terms[k] : RewardTerm{}};
  return judging;
}

std::unique_ptr<RewardFunction> make_reward(const RewardConfig& config) {
  if (config.terms.empty())
    throw base::ConfigError("reward.terms: name at least one term, such as {type: math, weight: 1.0}");
  for (const auto& term : config.terms) check(term);
  std::set<std::string> known;
  for (const auto& name : names_of(config.terms)) {
    if (!known.insert(name).second)
      throw base::ConfigError("reward.terms: two terms are called " + name + "; give each a name of its own");
  }
  return std::make_unique<WeightedSum>(config);
}

}  // namespace grpo::reward

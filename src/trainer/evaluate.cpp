#include "grpo/trainer/evaluate.h"

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/io/json.h"
#include "grpo/trainer/eval_metrics.h"
#include "trainer/divide_prompts.h"
#include "trainer/gather_json.h"
#include "trainer/mean.h"
#include "trainer/reward_item.h"
#include "trainer/scorer.h"
#include "trainer/step_output.h"
#include "trainer/stopping.h"

namespace grpo::trainer {
namespace {

struct Answer {
  std::string text;
  verifier::Verdict verdict;
  std::optional<double> value;  // what the judging term gave; none where it failed
  bool truncated = false;
};

bool is_right(const Answer& answer) { return answer.verdict.kind == verifier::Verdict::Kind::kRight; }

// An answer that a grader could not judge (on_failure: leave_out) counts as not right, and a warning says so.
void take_score(const Prompt& prompt, reward::Score score, Answer& answer) {
  if (score.failed()) {
    base::log_warning("eval: problem " + prompt.id + " counts as not right: " + score.failure);
  } else {
    answer.value = score.judged;
  }
  answer.verdict = std::move(score.verdict);
}

// Has completions of one prompt judged. `first` is the sample number of the first of them.
std::vector<Answer> judged(const std::vector<rollout::Completion>& completions, const Prompt& prompt, size_t first,
                           const EvalContext& context) {
  const auto golds = prompt.golds();
  std::vector<Answer> answers;
  std::vector<std::string> turns;
  for (const auto& completion : completions) {
    answers.push_back({.text = context.tokenizer->decode(completion.ids, true),
                       .verdict = {},
                       .value = {},
                       .truncated = completion.finish_reason == rollout::FinishReason::kLength});
    turns.push_back(prompt.begun + answers.back().text);
  }
  std::vector<reward::Item> items;
  for (size_t i = 0; i < completions.size(); ++i)
    items.push_back(item_of(prompt, golds, completions[i], turns[i], static_cast<int64_t>(first + i)));
  auto scores = context.judge->judge(items);
  for (size_t i = 0; i < answers.size(); ++i) take_score(prompt, std::move(scores[i]), answers[i]);
  return answers;
}

// Sorts answers into classes for the majority vote. All right answers are one class, since each is equivalent to the
// gold answer; wrong ones are told apart by what the judge read. A grader reads no answer, so its wrong ones are one
// class too, and the vote is right where most answers are. To tell them apart by their whole text would let any two
// right ones win, since no two worked solutions are alike. -1 is no answer.
std::vector<int64_t> answer_classes(const std::vector<Answer>& answers) {
  std::vector<int64_t> classes;
  std::vector<std::string> seen;
  for (const auto& answer : answers) {
    const bool unread = answer.verdict.kind == verifier::Verdict::Kind::kUnparsable ||
                        answer.verdict.kind == verifier::Verdict::Kind::kOverBudget;
    if (unread) {
      classes.push_back(-1);
      continue;
    }
    const std::string key = is_right(answer) ? std::string("\x01right") : answer.verdict.pred_parsed;
    const auto found = std::find(seen.begin(), seen.end(), key);
    classes.push_back(found - seen.begin());
    if (found == seen.end()) seen.push_back(key);
  }
  return classes;
}

nlohmann::ordered_json shown(const Answer& answer, bool graded) {
  nlohmann::ordered_json json{{"text", answer.text},
                              {"answer", answer.verdict.pred_parsed},
                              {"verdict", verifier::to_string(answer.verdict.kind)}};
  if (graded && answer.value) json["value"] = *answer.value;
  return json;
}

// The answers to one problem, in the order of samples, and the greedy one if it is asked for.
struct Problem {
  std::vector<Answer> answers;
  std::vector<Answer> greedy;
};

nlohmann::ordered_json to_json(const Prompt& prompt, const Problem& problem, int64_t right, bool graded) {
  nlohmann::ordered_json row{{"id", prompt.id}, {"prompt", prompt.text}, {"gold", gold_json(prompt)}, {"right", right}};
  for (const auto& answer : problem.answers) row["samples"].push_back(shown(answer, graded));
  for (const auto& answer : problem.greedy) row["greedy"] = shown(answer, graded);
  return row;
}

// Which set a problem belongs to, and its index in that set.
struct Place {
  size_t set;
  size_t row;
};

std::vector<Place> all_places(const std::vector<EvalSet>& sets) {
  std::vector<Place> places;
  for (size_t s = 0; s < sets.size(); ++s) {
    for (size_t i = 0; i < sets[s].prompts.size(); ++i) places.push_back({s, i});
  }
  return places;
}

/// Samples the problems of one rank. Answers are judged on other threads while more are being decoded.
class EvalSampling {
 public:
  EvalSampling(const std::vector<EvalSet>& sets, const std::vector<Place>& places, const EvalContext& context)
      : sets_(sets),
        places_(places),
        context_(context),
        problems_(places.size()),
        scorer_(context.judge->concurrency()) {}

  /// Samples the problems [first, last) and waits until all answers are judged. Returns false when it was stopped;
  /// answers that were not judged by then are dropped.
  bool run(std::pair<size_t, size_t> share) {
    for (size_t i = share.first; i < share.second; ++i) {
      ask(i, context_.samples, false);
      if (context_.greedy) ask(i, 1, true);
    }
    const auto stop = [this] { return scorer_.failed() || (context_.should_stop && context_.should_stop()); };
    const auto groups = context_.engine->generate(
        requests_, context_.generation, {}, [&](const auto& group) { receive(group); }, stop);
    if (groups.size() != requests_.size() && !scorer_.failed()) return false;
    // Answers that are judged are progress, which the watchdog of a run hears of by should_stop. While none is judged
    // it is asked only after a signal, so that a judge that hangs is seen.
    return scorer_.wait([this](bool progress) {
      if (progress && context_.on_progress) context_.on_progress(progress_);
      return (progress || has_signal()) && context_.should_stop && context_.should_stop();
    });
  }

  std::vector<Problem>& problems() { return problems_; }

 private:
  const Prompt& prompt(size_t problem) const { return sets_[places_[problem].set].prompts[places_[problem].row]; }

  AnswerKey key(size_t problem, bool greedy) const {
    const Place& place = places_[problem];
    return {.set = sets_[place.set].name, .draw = place.row, .greedy = greedy, .prompt = hash_ids(prompt(problem).ids)};
  }

  // Asks for the completions of a problem. Those that are known already are judged at once, and a request is made for
  // the rest.
  void ask(size_t problem, int64_t samples, bool greedy) {
    answers_of(problem, greedy).resize(static_cast<size_t>(samples));
    int64_t known = 0;
    if (context_.answers != nullptr) {
      auto completions = context_.answers->find(key(problem, greedy));
      completions.resize(std::min(completions.size(), static_cast<size_t>(samples)));
      known = static_cast<int64_t>(completions.size());
      judge(problem, greedy, 0, std::move(completions));
    }
    progress_.done += known;
    progress_.total += samples;
    if (known == samples) return;
    const Place& place = places_[problem];
    requests_.push_back({.prompt_ids = prompt(problem).ids,
                         .draw = place.row,
                         .first_sample = known,
                         .num_samples = samples - known,
                         .key = base::RandomKey{context_.seed, base::stream_id("eval/" + sets_[place.set].name)},
                         .greedy = greedy});
    asked_.push_back(problem);
  }

  void receive(const rollout::Group& group) {
    const auto& request = requests_[group.request];
    const size_t problem = asked_[group.request];
    if (context_.answers != nullptr) context_.answers->add(key(problem, request.greedy), group.completions);
    judge(problem, request.greedy, static_cast<size_t>(request.first_sample), group.completions);
    progress_.done += request.num_samples;
    if (context_.on_progress) context_.on_progress(progress_);
  }

  void judge(size_t problem, bool greedy, size_t first, std::vector<rollout::Completion> completions) {
    auto& answers = answers_of(problem, greedy);
    scorer_.submit([this, problem, first, &answers, completions = std::move(completions)] {
      auto some = judged(completions, prompt(problem), first, context_);
      std::move(some.begin(), some.end(), answers.begin() + static_cast<std::ptrdiff_t>(first));
    });
  }

  std::vector<Answer>& answers_of(size_t problem, bool greedy) {
    return greedy ? problems_[problem].greedy : problems_[problem].answers;
  }

  const std::vector<EvalSet>& sets_;
  const std::vector<Place>& places_;
  const EvalContext& context_;
  std::vector<Problem> problems_;
  EvalProgress progress_;
  std::vector<rollout::Request> requests_;
  std::vector<size_t> asked_;  // the problem of each request
  Scorer scorer_;
};

nlohmann::json to_json(const std::vector<Answer>& answers) {
  auto values = nlohmann::json::array();
  for (const Answer& answer : answers) {
    values.push_back({bytes_of(answer.text), static_cast<int>(answer.verdict.kind),
                      bytes_of(answer.verdict.pred_parsed), answer.truncated,
                      answer.value ? nlohmann::json(*answer.value) : nlohmann::json()});
  }
  return values;
}

std::vector<Answer> answers_from(const nlohmann::json& values) {
  std::vector<Answer> answers;
  for (const auto& value : values) {
    Answer answer{.text = text_of(value.at(0)), .verdict = {}, .value = {}, .truncated = value.at(3).get<bool>()};
    answer.verdict.kind = static_cast<verifier::Verdict::Kind>(value.at(1).get<int>());
    answer.verdict.pred_parsed = text_of(value.at(2));
    if (!value.at(4).is_null()) answer.value = value.at(4).get<double>();
    answers.push_back(std::move(answer));
  }
  return answers;
}

// Brings every rank's share to every rank. Returns false when any rank was stopped. The ranks meet before the
// collective, because nobody knows how long the others will sample and a collective would run into its timeout.
bool gather(std::vector<Problem>& problems, std::pair<size_t, size_t> share, bool done, const EvalContext& context) {
  const auto ask = [&] {
    if (context.should_stop) context.should_stop();
  };
  dist::Communicator& communicator = *context.communicator;
  if (communicator.meet("the other ranks' answers", done ? 0 : 1, ask) > 0) return false;
  nlohmann::json mine{{"first", share.first}, {"problems", nlohmann::json::array()}};
  for (size_t i = share.first; i < share.second; ++i)
    mine["problems"].push_back({to_json(problems[i].answers), to_json(problems[i].greedy)});
  for (const auto& theirs : all_gather_json(mine, communicator)) {
    size_t i = theirs.at("first").get<size_t>();
    for (const auto& problem : theirs.at("problems"))
      problems[i++] = {answers_from(problem.at(0)), answers_from(problem.at(1))};
  }
  return true;
}

// Samples all sets, whose problems the ranks share. Returns nothing when it was stopped.
std::optional<std::vector<Problem>> sample_all(const std::vector<EvalSet>& sets, const std::vector<Place>& places,
                                               const EvalContext& context) {
  const bool alone = context.communicator == nullptr || context.communicator->size() == 1;
  const auto share =
      alone ? std::pair<size_t, size_t>(0, places.size()) : share_of(places.size(), *context.communicator);
  EvalSampling sampling(sets, places, context);
  bool done = sampling.run(share);
  if (!done) context.judge->cancel();  // ~EvalSampling waits for what is being judged
  if (!alone) done = gather(sampling.problems(), share, done, context);
  if (!done) return {};
  return std::move(sampling.problems());
}

// The mean value of the answers that the judge could judge; none where there are none.
std::optional<double> mean_value(const std::vector<Answer>& answers) {
  std::vector<double> known;
  for (const auto& answer : answers) {
    if (answer.value) known.push_back(*answer.value);
  }
  return known.empty() ? std::optional<double>() : mean_of(known);
}

// The figures of each problem of one set. Their means are the set's results.
struct Figures {
  std::vector<double> mean, maj, greedy, value;
  std::vector<std::vector<double>> pass;  // [k' of the curve][problem]
  int64_t truncated = 0;
};

Figures figures_of(const std::vector<EvalSet>& sets, const std::vector<Place>& places,
                   const std::vector<Problem>& problems, size_t set, const std::vector<int64_t>& curve, bool graded,
                   const std::filesystem::path& output) {
  Figures figures{.pass = std::vector<std::vector<double>>(curve.size())};
  std::unique_ptr<io::JsonlWriter> writer;
  if (!output.empty()) writer = std::make_unique<io::JsonlWriter>(output.string());
  for (size_t p = 0; p < places.size(); ++p) {
    if (places[p].set != set) continue;
    const auto& answers = problems[p].answers;
    const auto samples = static_cast<int64_t>(answers.size());
    std::vector<bool> right;
    for (const auto& answer : answers) {
      right.push_back(is_right(answer));
      figures.truncated += answer.truncated ? 1 : 0;
    }
    const int64_t count = std::count(right.begin(), right.end(), true);
    figures.mean.push_back(static_cast<double>(count) / static_cast<double>(samples));
    for (size_t k = 0; k < curve.size(); ++k) figures.pass[k].push_back(pass_at_k(samples, count, curve[k]));
    figures.maj.push_back(maj_at_k(answer_classes(answers), right));
    for (const auto& answer : problems[p].greedy) figures.greedy.push_back(is_right(answer) ? 1.0 : 0.0);
    if (const auto value = mean_value(answers)) figures.value.push_back(*value);
    if (writer) writer->write(to_json(sets[set].prompts[places[p].row], problems[p], count, graded));
  }
  return figures;
}

std::vector<int64_t> pass_counts(int64_t samples) {
  std::vector<int64_t> counts;
  for (int64_t k = 1; k < samples; k *= 2) counts.push_back(k);
  counts.push_back(samples);
  return counts;
}

EvalResult result_of(const std::string& name, const Figures& figures, const std::vector<int64_t>& curve, bool graded,
                     uint64_t seed) {
  EvalResult result{.name = name, .samples = curve.back(), .truncated = figures.truncated};
  result.mean_at_k = mean_of(figures.mean);
  result.mean_interval = bootstrap_mean(figures.mean, seed);
  result.maj_at_k = mean_of(figures.maj);
  result.maj_interval = bootstrap_mean(figures.maj, seed);
  for (size_t k = 0; k < curve.size(); ++k) {
    result.pass_curve.emplace_back(curve[k], mean_of(figures.pass[k]));
    result.pass_intervals.push_back(bootstrap_mean(figures.pass[k], seed));
  }
  result.pass_at_k = result.pass_curve.back().second;
  if (!figures.greedy.empty()) {
    result.greedy = mean_of(figures.greedy);
    result.greedy_interval = bootstrap_mean(figures.greedy, seed);
  }
  if (graded) {
    result.value = mean_of(figures.value);
    result.value_interval = bootstrap_mean(figures.value, seed);
  }
  return result;
}

}  // namespace

std::vector<std::pair<std::string, double>> EvalResult::metrics() const {
  const std::string prefix = "eval/" + name + "/";
  const std::string k = "@" + std::to_string(samples);
  std::vector<std::pair<std::string, double>> out = {{prefix + "mean" + k, mean_at_k},
                                                     {prefix + "pass" + k, pass_at_k},
                                                     {prefix + "maj" + k, maj_at_k},
                                                     {prefix + "ci_low", mean_interval.low},
                                                     {prefix + "ci_high", mean_interval.high}};
  if (greedy) out.emplace_back(prefix + "greedy", *greedy);
  if (value) {
    out.emplace_back(prefix + "value", *value);
    out.emplace_back(prefix + "value_ci_low", value_interval.low);
    out.emplace_back(prefix + "value_ci_high", value_interval.high);
  }
  return out;
}

std::vector<EvalResult> evaluate(const std::vector<EvalSet>& sets, const EvalContext& context,
                                 const std::vector<std::filesystem::path>& outputs) {
  GRPO_CHECK(outputs.size() == sets.size(), outputs.size(), " outputs for ", sets.size(), " sets");
  const auto places = all_places(sets);
  const auto problems = sample_all(sets, places, context);
  if (!problems) return {};
  const auto curve = pass_counts(context.samples);
  std::vector<EvalResult> results;
  for (size_t s = 0; s < sets.size(); ++s) {
    const auto figures = figures_of(sets, places, *problems, s, curve, context.graded, outputs[s]);
    results.push_back(result_of(sets[s].name, figures, curve, context.graded, context.seed));
  }
  return results;
}

}  // namespace grpo::trainer

#include "grpo/trainer/evaluate.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/json.h"
#include "grpo/reward/verifier.h"
#include "grpo/trainer/eval_metrics.h"
#include "trainer/across_ranks.h"
#include "trainer/scorer.h"

namespace grpo::trainer {
namespace {

struct Answer {
  std::string text;
  reward::Verdict verdict;
};

bool is_right(const Answer& answer) { return answer.verdict.kind == reward::Verdict::Kind::kRight; }

std::vector<Answer> verify_group(const rollout::Group& group, const Prompt& prompt, const EvalContext& context) {
  std::vector<Answer> answers;
  for (const auto& completion : group.completions) {
    Answer answer{.text = context.tokenizer->decode(completion.ids, true), .verdict = {}};
    answer.verdict = reward::verify(prompt.gold, answer.text, context.verifier);
    answers.push_back(std::move(answer));
  }
  return answers;
}

// Every right answer is one class; wrong ones are told apart by what the verifier read.
std::vector<int64_t> answer_classes(const std::vector<Answer>& answers) {
  std::vector<int64_t> classes;
  std::vector<std::string> seen;
  for (const auto& answer : answers) {
    const bool unread = answer.verdict.kind == reward::Verdict::Kind::kUnparsable ||
                        answer.verdict.kind == reward::Verdict::Kind::kOverBudget;
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

nlohmann::ordered_json to_json(const Prompt& prompt, const std::vector<Answer>& answers, int64_t right) {
  nlohmann::ordered_json row{{"id", prompt.id}, {"prompt", prompt.text}, {"gold", prompt.gold}, {"right", right}};
  for (const auto& answer : answers) {
    row["samples"].push_back({{"text", answer.text},
                              {"answer", answer.verdict.pred_parsed},
                              {"verdict", reward::to_string(answer.verdict.kind)}});
  }
  return row;
}

// One problem's answers, by sample.
struct Problem {
  std::vector<Answer> answers;
  int64_t truncated = 0;
};

struct Sampled {
  std::vector<Problem> problems;
  bool stopped = false;
};

Sampled sample_share(const EvalSet& set, const EvalContext& context, std::pair<size_t, size_t> share) {
  Sampled sampled{.problems = std::vector<Problem>(set.prompts.size()), .stopped = false};
  std::vector<rollout::Request> requests;
  for (size_t i = share.first; i < share.second; ++i) {
    requests.push_back({.prompt_ids = set.prompts[i].ids, .draw = i, .first_sample = 0, .num_samples = context.samples});
  }
  Scorer scorer(1);
  const auto on_group = [&](const rollout::Group& group) {
    const size_t i = share.first + group.request;
    for (const auto& completion : group.completions) {
      sampled.problems[i].truncated += completion.finish_reason == rollout::FinishReason::kLength ? 1 : 0;
    }
    scorer.submit([&, i, group] { sampled.problems[i].answers = verify_group(group, set.prompts[i], context); });
  };
  const base::RandomKey key{context.seed, base::stream_id("eval/" + set.name)};
  const auto groups = context.engine->generate(requests, context.sampling, key, on_group, context.should_stop);
  sampled.stopped = groups.size() != requests.size();
  scorer.wait();
  return sampled;
}

nlohmann::json to_json(const Problem& problem) {
  nlohmann::json json{{"truncated", problem.truncated}, {"answers", nlohmann::json::array()}};
  for (const Answer& answer : problem.answers) {
    json["answers"].push_back({bytes_of(answer.text), static_cast<int>(answer.verdict.kind), bytes_of(answer.verdict.pred_parsed)});
  }
  return json;
}

Problem problem_from(const nlohmann::json& json) {
  Problem problem{.answers = {}, .truncated = json.at("truncated").get<int64_t>()};
  for (const auto& entry : json.at("answers")) {
    Answer answer{.text = text_of(entry.at(0)), .verdict = {}};
    answer.verdict.kind = static_cast<reward::Verdict::Kind>(entry.at(1).get<int>());
    answer.verdict.pred_parsed = text_of(entry.at(2));
    problem.answers.push_back(std::move(answer));
  }
  return problem;
}

void gather(Sampled& sampled, std::pair<size_t, size_t> share, dist::Communicator& communicator) {
  nlohmann::json mine{{"stopped", sampled.stopped}, {"first", share.first}, {"problems", nlohmann::json::array()}};
  for (size_t i = share.first; i < share.second; ++i) mine["problems"].push_back(to_json(sampled.problems[i]));
  for (const auto& theirs : all_gather_json(mine, communicator)) {
    sampled.stopped = sampled.stopped || theirs.at("stopped").get<bool>();
    size_t i = theirs.at("first").get<size_t>();
    for (const auto& problem : theirs.at("problems")) sampled.problems[i++] = problem_from(problem);
  }
}

Sampled sample_all(const EvalSet& set, const EvalContext& context) {
  if (context.communicator == nullptr || context.communicator->size() == 1) return sample_share(set, context, {0, set.prompts.size()});
  const auto share = share_of(set.prompts.size(), *context.communicator);
  Sampled sampled = sample_share(set, context, share);
  gather(sampled, share, *context.communicator);
  return sampled;
}

}  // namespace

std::vector<std::pair<std::string, double>> EvalResult::metrics() const {
  const std::string prefix = "eval/" + name + "/";
  const std::string k = "@" + std::to_string(samples);
  return {{prefix + "mean" + k, mean_at_k}, {prefix + "pass" + k, pass_at_k}, {prefix + "maj" + k, maj_at_k},
          {prefix + "ci_low", ci_low},      {prefix + "ci_high", ci_high}};
}

EvalResult evaluate(const EvalSet& set, const EvalContext& context, const std::filesystem::path& output) {
  const Sampled sampled = sample_all(set, context);
  EvalResult result;
  result.name = set.name;
  result.samples = context.samples;
  result.stopped = sampled.stopped;
  if (result.stopped) return result;
  for (int64_t k = 1; k < context.samples; k *= 2) result.pass_curve.emplace_back(k, 0.0);
  result.pass_curve.emplace_back(context.samples, 0.0);
  std::vector<double> means;
  std::unique_ptr<io::JsonlWriter> writer;
  if (!output.empty()) writer = std::make_unique<io::JsonlWriter>(output.string());
  for (size_t i = 0; i < set.prompts.size(); ++i) {
    const Problem& problem = sampled.problems[i];
    std::vector<bool> right;
    for (const auto& answer : problem.answers) right.push_back(is_right(answer));
    const auto count = static_cast<int64_t>(std::count(right.begin(), right.end(), true));
    means.push_back(static_cast<double>(count) / static_cast<double>(context.samples));
    for (auto& [k, sum] : result.pass_curve) sum += pass_at_k(context.samples, count, k);
    result.maj_at_k += maj_at_k(answer_classes(problem.answers), right);
    result.truncated += problem.truncated;
    if (writer) writer->write(to_json(set.prompts[i], problem.answers, count));
  }
  const auto n = static_cast<double>(std::max<size_t>(set.prompts.size(), 1));
  for (const double mean : means) result.mean_at_k += mean / n;
  for (auto& [k, sum] : result.pass_curve) sum /= n;
  result.pass_at_k = result.pass_curve.back().second;
  result.maj_at_k /= n;
  const auto interval = bootstrap_mean(means, context.seed);
  result.ci_low = interval.low;
  result.ci_high = interval.high;
  return result;
}

}  // namespace grpo::trainer

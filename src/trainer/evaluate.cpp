#include "grpo/trainer/evaluate.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/json.h"
#include "grpo/reward/verifier.h"
#include "grpo/trainer/eval_metrics.h"
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

}  // namespace

std::vector<std::pair<std::string, double>> EvalResult::metrics() const {
  const std::string prefix = "eval/" + name + "/";
  const std::string k = "@" + std::to_string(samples);
  return {{prefix + "mean" + k, mean_at_k}, {prefix + "pass" + k, pass_at_k}, {prefix + "maj" + k, maj_at_k},
          {prefix + "ci_low", ci_low},      {prefix + "ci_high", ci_high}};
}

EvalResult evaluate(const EvalSet& set, const EvalContext& context, const std::filesystem::path& output) {
  std::vector<rollout::Request> requests;
  for (size_t i = 0; i < set.prompts.size(); ++i) {
    requests.push_back({.prompt_ids = set.prompts[i].ids, .draw = i, .first_sample = 0, .num_samples = context.samples});
  }
  std::vector<std::vector<Answer>> answers(set.prompts.size());
  Scorer scorer(1);
  const auto on_group = [&](const rollout::Group& group) {
    scorer.submit([&, group] {
      answers[group.request] = verify_group(group, set.prompts[group.request], context);
    });
  };
  const base::RandomKey key{context.seed, base::stream_id("eval/" + set.name)};
  const auto groups = context.engine->generate(requests, context.sampling, key, on_group, context.should_stop);
  scorer.wait();

  EvalResult result;
  result.name = set.name;
  result.samples = context.samples;
  if (groups.size() != requests.size()) return result;  // stopped
  for (int64_t k = 1; k < context.samples; k *= 2) result.pass_curve.emplace_back(k, 0.0);
  result.pass_curve.emplace_back(context.samples, 0.0);
  std::vector<double> means;
  std::unique_ptr<io::JsonlWriter> writer;
  if (!output.empty()) writer = std::make_unique<io::JsonlWriter>(output.string());
  for (size_t i = 0; i < set.prompts.size(); ++i) {
    std::vector<bool> right;
    for (const auto& answer : answers[i]) right.push_back(is_right(answer));
    const auto count = static_cast<int64_t>(std::count(right.begin(), right.end(), true));
    means.push_back(static_cast<double>(count) / static_cast<double>(context.samples));
    for (auto& [k, sum] : result.pass_curve) sum += pass_at_k(context.samples, count, k);
    result.maj_at_k += maj_at_k(answer_classes(answers[i]), right);
    for (const auto& completion : groups[i].completions) {
      if (completion.finish_reason == rollout::FinishReason::kLength) ++result.truncated;
    }
    if (writer) writer->write(to_json(set.prompts[i], answers[i], count));
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

#include <atomic>
#include <functional>

#include "grpo/base/error.h"
#include "reward/command_grader.h"
#include "reward/grader_pool.h"
#include "reward/grader_protocol.h"
#include "reward/http_grader.h"
#include "reward/term.h"

namespace grpo::reward {
namespace {

class GraderTerm : public Term {
 public:
  GraderTerm(const RewardTerm& term, const std::string& name, const std::function<std::unique_ptr<Grader>()>& make)
      : name_(name),
        right_at_(term.right_at),
        workers_(static_cast<int>(term.workers)),
        pool_(make, {.workers = term.workers,
                     .retries = term.retries,
                     .first_pause_s = term.type == TermType::kHttp ? 1.0 : 0.1,
                     .stops = term.on_failure == OnFailure::kStop}) {}

  std::vector<TermValue> values(std::span<const Item> items) const override {
    std::vector<Call> calls;
    for (const Item& item : items) {
      const int64_t id = ++last_id_;
      calls.push_back({.id = id, .name = call_name(item), .request = request_of(item, id)});
    }
    pool_.ask(calls);
    std::vector<TermValue> values;
    for (size_t i = 0; i < items.size(); ++i) values.push_back(value_of(calls[i], items[i]));
    return values;
  }

  int concurrency() const override { return workers_; }
  void cancel() const override { pool_.cancel(); }

 private:
  std::string call_name(const Item& item) const {
    return base::concat("reward.terms: ", name_, ": problem ", item.problem, ", sample ", item.sample);
  }

  TermValue value_of(Call& call, const Item& item) const {
    if (!call.reply) return {.failure = base::concat("sample ", item.sample, ": ", call.failure)};
    verifier::Verdict verdict{
        .kind = call.reply->reward >= right_at_ ? verifier::Verdict::Kind::kRight : verifier::Verdict::Kind::kWrong,
        .gold_parsed = item.golds.front(),
        .pred_parsed = "",
        .rule = "grader",
        .reason = ""};
    return {.value = call.reply->reward, .verdict = std::move(verdict), .metrics = std::move(call.reply->metrics)};
  }

  const std::string name_;
  const double right_at_;
  const int workers_;
  mutable std::atomic<int64_t> last_id_ = 0;
  mutable GraderPool pool_;
};

std::unique_ptr<Grader> make_grader(const RewardTerm& term, const std::string& name) {
  if (term.type == TermType::kHttp) return make_http_grader({.url = term.url, .timeout_s = term.timeout_s});
  return std::make_unique<CommandGrader>(
      CommandGrader::Options{.command = term.command, .name = name, .timeout_s = term.timeout_s});
}

}  // namespace

std::unique_ptr<Term> make_grader_term(const RewardTerm& term, const std::string& name) {
  try {
    return std::make_unique<GraderTerm>(term, name, [&] { return make_grader(term, name); });
  } catch (const base::Error& error) {
    throw base::ConfigError(base::concat("reward.terms: ", name, ": ", error.what()));
  }
}

}  // namespace grpo::reward

#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "grpo/data/sampler.h"
#include "trainer/methods/method.h"

namespace grpo::trainer {

/// The ids of a written completion: its text word for word, and then the token that ends the assistant's turn, or the
/// first stop id where the template has none. special_tokens: texts of special tokens in it become tokens
/// (data.allow_special_tokens).
std::vector<int64_t> written_completion(const Policy& policy, const std::string& text, bool special_tokens);

/// The ids that supervised fine-tuning teaches for each prompt: its first answer, by written_completion(). With a
/// warning, prompts whose completion is longer than most_tokens are left out (and removed from `prompts`). Throws
/// base::ConfigError when none is left.
std::vector<std::vector<int64_t>> written_completions(const Policy& policy, std::vector<Prompt>& prompts,
                                                      int64_t most_tokens, bool special_tokens);

/// Supervised fine-tuning: the loss is the negative log-likelihood of written completions, aggregated over tokens as
/// algorithm.aggregation says. With several updates a step, each has its part of the step's examples.
class Sft : public Method {
 public:
  /// What is given must outlive this object. completions: for each prompt.
  Sft(const TrainConfig& config, Policy& policy, const std::vector<Prompt>& prompts,
      const std::vector<std::vector<int64_t>>& completions);

  bool take_step(const StepCall& call) override;
  const UpdateStats& update() const override { return update_; }
  metrics::MetricsLine measures() const override;
  StepSigns signs() const override { return {}; }
  std::vector<std::string> warnings() override { return {}; }
  // There are no samples to show: what it learns from is in the data files.
  void write_samples(const std::filesystem::path&, int64_t) const override {}
  void show_samples(metrics::TensorBoardWriter&, double) const override {}
  void show(metrics::Status& status) const override;
  std::string summary(int64_t total_steps, double step_s, double left_s) const override;
  void save(nlohmann::json& state) const override;
  void restore(const nlohmann::json& state) override;
  void forget_problems() override {}

 protected:
  /// What one update learns from these examples (indices of prompts and completions). A method that weighs their tokens
  /// in another way overrides it.
  virtual update::Batch batch_of(const StepCall& call, const std::vector<size_t>& examples) const;
  /// The number of tokens of each completion of an example.
  virtual std::vector<int64_t> lengths_of(size_t example) const;
  const std::vector<Prompt>& prompts() const { return prompts_; }

 private:
  std::vector<size_t> next_examples();
  std::vector<UpdateStats> make_updates(const StepCall& call, const std::vector<size_t>& examples) const;

  const TrainConfig& config_;
  Policy& policy_;
  const std::vector<Prompt>& prompts_;
  const std::vector<std::vector<int64_t>>& completions_;
  data::PromptSampler sampler_;
  uint64_t next_draw_ = 0;  // ordinal of the run's next draw; carried from step to step
  // Of the last step:
  int64_t step_ = 0;
  UpdateStats update_;
  int64_t prompt_tokens_ = 0;
  int64_t completion_tokens_ = 0;
  int64_t num_completions_ = 0;
  int64_t longest_ = 0;  // tokens of the longest completion
  double update_s_ = 0.0;
  double bytes_ = 0.0;  // bytes that all ranks sent; 0 with one rank
  int64_t ranks_ = 1;
};

}  // namespace grpo::trainer

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "grpo/data/dataset.h"
#include "grpo/trainer/evaluate.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// An evaluation outside training: one model, several data sets.
struct EvalRun {
  PolicyConfig model;
  data::DataConfig data;           // prompt_key, answer_key, max_prompt_tokens
  std::vector<std::string> files;  // each is one set named by its file name
  EvalConfig eval;                 // samples and sampling
  std::vector<int64_t> stop_ids;   // besides the model's own
  int64_t seed = 1;
  int64_t threads = 0;                // 0: the cores this process may use
  reward::RewardConfig reward;        // terms, of which one judges, verifier, max_bad_golds
  std::string output;                 // folder
  std::string answers;                // folder of the answer store; empty: answers/ in the output folder
  std::function<bool()> should_stop;  // asked between decode steps
  std::function<void(const EvalProgress&)> on_progress;
};

/// Evaluates all sets in one run of the engine and writes into the output folder: <set>.jsonl (one problem a line with
/// its answers and verdicts), eval.json (settings and figures) and answers/ (answer_store.h: the same command again
/// samples only what is missing). Results in the order of the files; none when should_stop ended it. Throws
/// base::ConfigError for two files of one name.
std::vector<EvalResult> run_eval(const EvalRun& run);

}  // namespace grpo::trainer

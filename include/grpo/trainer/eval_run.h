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
  data::DataConfig data;           // how rows become prompts: keys, data.system, max_prompt_tokens; no training sets
  std::vector<std::string> files;  // files, folders or patterns; each file is one set, named by its file name
  EvalConfig eval;                 // samples, sampling and judge; REQUIRES: max_new_tokens is set
  std::vector<int64_t> stop_ids;   // besides the model's own
  int64_t seed = 1;
  int64_t threads = 0;                // 0: the cores this process may use
  reward::RewardConfig reward;        // terms, of which one judges the answers, and how many golds may be bad
  std::string output;                 // folder of the results
  std::string answers;                // folder of the answer store; empty: answers/ in the output folder
  std::function<bool()> should_stop;  // asked between decode steps
  std::function<void(const EvalProgress&)> on_progress;
};

/// Evaluates all sets in one run of the engine and writes into the output folder: <set>.jsonl (one problem a line with
/// its answers and verdicts), eval.json (settings and figures) and answers/ (answer_store.h: the same command again
/// samples only what is missing). Returns the results in the order of the files, or nothing when should_stop ended it.
/// Throws base::ConfigError for two files of one name and for what load_policy() and check_golds() refuse,
/// base::IoError for files that cannot be read or written.
std::vector<EvalResult> run_eval(const EvalRun& run);

}  // namespace grpo::trainer

#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "grpo/io/json.h"
#include "grpo/rollout/engine.h"

namespace grpo::trainer {

/// Names one prompt's completions in an evaluation.
struct AnswerKey {
  std::string set;
  uint64_t draw = 0;
  bool greedy = false;
  std::string prompt;  // hash of its ids: another template or problem is another prompt
  auto operator<=>(const AnswerKey&) const = default;
};

/// Completions that were sampled earlier with the same weights and sampling, in one JSONL file named by a hash of both.
/// An evaluation that was interrupted, asks for more samples or adds data sets then samples only what is missing.
/// Verdicts are not kept, so that a newer verifier judges old completions anew.
class AnswerStore {
 public:
  /// Reads <folder>/<identity>.jsonl. A last line that was cut off while it was written is dropped.
  AnswerStore(const std::filesystem::path& folder, const std::string& identity);

  /// The first completions of a prompt that are known, in sample order; maybe none.
  const std::vector<rollout::Completion>& find(const AnswerKey& key) const;
  /// Appends the completions that follow those already known, and flushes. Log-probs are not kept.
  void add(const AnswerKey& key, const std::vector<rollout::Completion>& completions);

 private:
  std::map<AnswerKey, std::vector<rollout::Completion>> known_;
  std::unique_ptr<io::JsonlWriter> writer_;
};

/// A hash of a model folder's weights, configuration and tokenizer files: their names and bytes.
std::string hash_model_folder(const std::filesystem::path& folder);
std::string hash_ids(const std::vector<int64_t>& ids);

}  // namespace grpo::trainer

#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "grpo/io/file_lock.h"
#include "grpo/io/json.h"
#include "grpo/rollout/engine.h"

namespace grpo::trainer {

/// Names the completions of one prompt in an evaluation.
struct AnswerKey {
  std::string set;    // name of the evaluation set
  uint64_t draw = 0;  // index of the prompt in the set
  bool greedy = false;
  std::string prompt;  // hash_ids() of the prompt, so that another template or problem is another key
  auto operator<=>(const AnswerKey&) const = default;
};

/// Keeps completions that were sampled with the same weights and sampling settings, in one JSONL file named by a hash
/// of both. An evaluation that was interrupted, asks for more samples or adds data sets then samples only what is
/// missing. Verdicts are not kept, so that a newer verifier judges old completions anew.
class AnswerStore {
 public:
  /// Reads <folder>/<identity>.jsonl and opens it to append. A last line that was cut off while it was written is
  /// removed from the file. Throws base::IoError, or io::LockedError while another process has the file: both would
  /// sample the same completions, which would then count as different ones.
  AnswerStore(const std::filesystem::path& folder, const std::string& identity);

  /// The completions of a prompt that are known, from sample 0 on and in sample order; empty if there are none.
  const std::vector<rollout::Completion>& find(const AnswerKey& key) const;
  /// Appends completions, whose samples follow those that are known, and flushes. Log-probs are not kept.
  void add(const AnswerKey& key, const std::vector<rollout::Completion>& completions);

 private:
  io::FileLock lock_;
  std::map<AnswerKey, std::vector<rollout::Completion>> known_;
  std::unique_ptr<io::JsonlWriter> writer_;
};

/// A hash of the names and bytes of a model folder's weights, configuration and tokenizer files.
std::string hash_model_folder(const std::filesystem::path& folder);
std::string hash_ids(const std::vector<int64_t>& ids);

}  // namespace grpo::trainer

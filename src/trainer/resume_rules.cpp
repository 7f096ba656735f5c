#include "trainer/resume_rules.h"

#include <algorithm>
#include <array>
#include <regex>

#include "grpo/base/error.h"
#include "grpo/config/config.h"

namespace grpo::trainer {
namespace fs = std::filesystem;
namespace {

constexpr const char* kContent = "compared by content (run_inputs.h), not as spelled";
constexpr const char* kMemory = "how much is held at once: the same sums up to rounding";

constexpr const char* kAsked = "how graders are asked, not what they say; for a run that a failing grader ended";

constexpr std::array<FreeKey, 34> kFreeKeys = {{
    {"trainer.steps", "when the run ends; a linear or cosine rate depends on it, which a warning says"},
    {"data.epochs", "when the run ends"},
    {"run.output", "where the folder is"},
    {"data.train", kContent},
    {"data.prompt_key", kContent},
    {"data.answer_key", kContent},
    {"data.chosen_key", kContent},
    {"data.rejected_key", kContent},
    {"data.system", kContent},
    {"data.max_prompt_tokens", kContent},
    {"model.path", kContent},
    {"model.template", kContent},
    {"rollout.stop_ids", kContent},
    {"model.device", "where the same numbers are computed, up to rounding"},
    {"trainer.stop_on", "when the run ends"},
    {"trainer.threads", "the order of sums: the same up to rounding"},
    {"trainer.micro_batch_tokens", kMemory},
    {"trainer.activation_checkpointing", kMemory},
    {"trainer.offload_optimizer", kMemory},
    {"trainer.share_prompts", "whether a prompt is computed once: the same sums up to rounding"},
    {"trainer.stream_update", "when micro-batches run: the same sums up to rounding"},
    {"trainer.deterministic", "the order of sums: the same up to rounding"},
    {"rollout.kv_memory_gb", kMemory},
    {"rollout.max_sequences", kMemory},
    {"rollout.page_size", kMemory},
    {"reward.max_bad_golds", "whether the start is refused"},
    {"reward.terms[].timeout_s", kAsked},
    {"reward.terms[].workers", kAsked},
    {"reward.terms[].retries", kAsked},
    {"reward.terms[].on_failure", kAsked},
    {"checkpoint.", "what is saved and when"},
    {"eval.", "measures, and changes nothing"},
    {"logging.", "what is written"},
    {"distributed.", "how ranks share the work: the same sums up to rounding"},
}};

// Turns reward.terms.0.retries into reward.terms[].retries.
std::string without_indices(const std::string& key) {
  static const std::regex kIndex("\\.[0-9]+(?=\\.)");
  return std::regex_replace(key, kIndex, "[]");
}

bool is_free(const std::string& full_key) {
  const std::string key = without_indices(full_key);
  return std::any_of(kFreeKeys.begin(), kFreeKeys.end(), [&](const FreeKey& free) {
    const std::string prefix(free.prefix);
    if (prefix.back() == '.') return key.starts_with(prefix);
    return key == prefix || key.starts_with(prefix + ".") || key.starts_with(prefix + "[");  // a list of sections
  });
}

}  // namespace

std::span<const FreeKey> free_keys() { return kFreeKeys; }

std::vector<Change> changed_keys(const fs::path& saved_config, const TrainConfig& now, bool other_folder) {
  std::vector<Change> changes;
  if (!fs::exists(saved_config)) return changes;
  TrainConfig saved;
  config::load(base::fields_of(saved), {.file = saved_config, .overrides = {}});
  TrainConfig current = now;
  for (const auto& difference : config::differences(base::fields_of(saved), base::fields_of(current))) {
    if (is_free(difference.key) || (other_folder && difference.key == "run.name")) continue;
    changes.push_back({difference.key, difference.a, difference.b});
  }
  return changes;
}

void refuse_changes(const std::vector<Change>& changes, const fs::path& checkpoint) {
  if (changes.empty()) return;
  const Change& first = changes.front();
  throw base::ConfigError(
      base::concat(first.what, " is ", first.is, " but the run was started with ", first.was,
                   changes.size() > 1 ? base::concat(" (and ", changes.size() - 1, " more differ)") : "",
                   "; use the same value, --resume never to begin anew, or --fork ", checkpoint.string(),
                   " with another run.name for a new run that goes on from there"));
}

}  // namespace grpo::trainer

#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "grpo/models/causal_lm.h"
#include "grpo/tokenizer/chat_template.h"
#include "grpo/tokenizer/tokenizer.h"
#include "grpo/trainer/rollout_batch.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// The model, together with what turns text into ids and back.
struct Policy {
  std::filesystem::path folder;  // of the tokenizer files and config.json
  std::unique_ptr<models::CausalLM> model;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer;
  std::optional<tokenizer::ChatTemplate> chat_template;
  /// Ids that end a completion: eos of generation_config, config and tokenizer, the template's end of turn, and those
  /// that the configuration adds.
  std::vector<int64_t> stop_ids;
};

/// Loads the policy from config.path, which has been resolved. weights: a folder whose weights take the place of the
/// start weights (a checkpoint's model/); empty: the start weights, as config.init says. seed: of random start weights.
/// local_rank: see models::resolve_device. Throws base::ConfigError or base::IoError for a folder that is missing, an
/// unknown architecture or template, no stop id, or a tokenizer whose ids exceed the model's vocabulary (those of
/// special tokens may, as long as no prompt has them).
Policy load_policy(const PolicyConfig& config, const std::vector<int64_t>& extra_stop_ids,
                   const std::filesystem::path& weights = {}, int64_t local_rank = 0, uint64_t seed = 0);

/// The policy without model and stop ids, which is enough for make_prompts(). Throws base::ConfigError or base::IoError
/// for an unknown template or unreadable tokenizer files.
Policy load_tokenizer(const PolicyConfig& config);

/// Loads the weights alone, for work on token ids; the arguments are those of load_policy.
std::unique_ptr<models::CausalLM> load_model(const PolicyConfig& config, const std::filesystem::path& weights = {},
                                             int64_t local_rank = 0, uint64_t seed = 0);

/// Loads a critic that begins with a model's weights and has a value head (models::ConfigOverrides::value_head); the
/// arguments are those of load_policy.
std::unique_ptr<models::CausalLM> load_critic(const PolicyConfig& config, int64_t local_rank, uint64_t seed);

struct PromptOptions {
  std::string system = "auto";        // as data.system
  bool allow_special_tokens = false;  // as data.allow_special_tokens
};

/// Puts problems into the chat template and tokenizes them. Prompts longer than max_prompt_tokens are left out and
/// added to `*dropped`; a warning says how many problems hold the text of special tokens. Throws, naming the problem,
/// base::ConfigError where the template cannot express its conversation or the model has no embedding for one of its
/// ids, and base::IoError where it has no tokens.
std::vector<Prompt> make_prompts(const Policy& policy, const std::vector<data::Problem>& problems,
                                 int64_t max_prompt_tokens, int64_t* dropped, const PromptOptions& options = {});

}  // namespace grpo::trainer

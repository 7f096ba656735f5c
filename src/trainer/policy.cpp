#include "grpo/trainer/policy.h"

#include <algorithm>

#include "grpo/base/error.h"
#include "grpo/models/device.h"

namespace grpo::trainer {
namespace {

void add_unique(std::vector<int64_t>& ids, int64_t id) {
  if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
}

void check_vocabulary(const Policy& policy) {
  const int64_t model = policy.model->config().vocab_size;
  const int64_t tokenizer = policy.tokenizer->vocab_size();
  if (tokenizer > model) {
    throw base::ConfigError(base::concat(policy.folder.string(), ": the tokenizer has ", tokenizer,
                                         " ids but the model's vocabulary is ", model,
                                         "; the tokenizer files belong to another model"));
  }
}

std::vector<int64_t> all_stop_ids(const Policy& policy, const std::vector<int64_t>& extra) {
  std::vector<int64_t> ids = models::stop_ids(policy.folder);
  if (const auto eos = policy.tokenizer->eos_id()) add_unique(ids, *eos);
  const std::string end_of_turn = policy.chat_template->end_of_turn();
  if (!end_of_turn.empty()) {
    if (const auto id = policy.tokenizer->token_id(end_of_turn)) add_unique(ids, *id);
  }
  for (const int64_t id : extra) add_unique(ids, id);
  for (const int64_t id : ids) {
    if (id < 0 || id >= policy.model->config().vocab_size) {
      throw base::ConfigError(base::concat("stop id ", id, " is outside the model's vocabulary of ",
                                           policy.model->config().vocab_size,
                                           "; check rollout.stop_ids and eos_token_id in ", policy.folder.string()));
    }
  }
  if (ids.empty()) {
    throw base::ConfigError(policy.folder.string() +
                            ": no end-of-sequence id in generation_config.json, config.json or the tokenizer; name one "
                            "with rollout.stop_ids=[ID]");
  }
  return ids;
}

}  // namespace

Policy load_policy(const ModelOptions& options, const std::vector<int64_t>& extra_stop_ids,
                   const std::filesystem::path& weights, int64_t local_rank) {
  if (!std::filesystem::is_directory(options.path)) {
    throw base::ConfigError("model.path: no folder " + options.path +
                            "; expected a Hugging Face model folder with config.json and model.safetensors; scripts/get_model.sh obtains public ones");
  }
  Policy policy;
  policy.folder = options.path;
  const at::Device device = models::resolve_device(options.device, local_rank);
  models::use_device(device);
  const at::ScalarType dtype = models::resolve_dtype(options.dtype, policy.folder, device);
  const models::ConfigOverrides overrides{.max_positions = options.max_positions.value, .rope_theta = options.rope_theta.value};
  policy.model = models::CausalLM::load(weights.empty() ? policy.folder : weights, dtype, device, overrides);
  policy.tokenizer = tokenizer::Tokenizer::load(policy.folder);
  policy.chat_template = tokenizer::ChatTemplate::resolve(options.chat_template, policy.folder);
  check_vocabulary(policy);
  policy.stop_ids = all_stop_ids(policy, extra_stop_ids);
  return policy;
}

std::vector<Prompt> make_prompts(const Policy& policy, const std::vector<data::Problem>& problems,
                                 int64_t max_prompt_tokens, int64_t* dropped) {
  std::vector<Prompt> prompts;
  prompts.reserve(problems.size());
  for (const auto& problem : problems) {
    Prompt prompt{.row = problem.row, .id = problem.id, .text = policy.chat_template->prompt(problem.prompt),
                  .gold = problem.answer, .ids = {}};
    prompt.ids = policy.chat_template->encode_prompt(*policy.tokenizer, problem.prompt);
    if (prompt.ids.empty()) {
      throw base::IoError(base::concat(problem.file, ": row ", problem.row, ": the prompt has no tokens"));
    }
    if (static_cast<int64_t>(prompt.ids.size()) > max_prompt_tokens) {
      ++*dropped;
      continue;
    }
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

}  // namespace grpo::trainer

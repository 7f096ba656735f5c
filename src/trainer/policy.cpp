#include "grpo/trainer/policy.h"

#include <algorithm>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/models/device.h"
#include "trainer/prompt_ids.h"

namespace grpo::trainer {
namespace {

void add_unique(std::vector<int64_t>& ids, int64_t id) {
  if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
}

// Whether a token looks like "[PAD]" or "<pad>". Such tokens are often added to a tokenizer without being marked as
// special.
bool looks_special(const std::string& token) {
  return token.size() > 2 &&
         ((token.front() == '[' && token.back() == ']') || (token.front() == '<' && token.back() == '>'));
}

void check_vocabulary(const Policy& policy) {
  const int64_t model = policy.model->config().vocab_size;
  const int64_t tokenizer = policy.tokenizer->vocab_size();
  const auto foreign = [&](int64_t id) {
    const auto token = policy.tokenizer->token(id);
    return token && !policy.tokenizer->is_special(id) && !looks_special(*token);
  };
  bool belongs = true;
  for (int64_t id = model; belongs && id < tokenizer; ++id) belongs = !foreign(id);
  if (belongs && tokenizer > model) {  // usually a padding token that somebody added without resizing the embedding
    base::log_info(base::concat(policy.folder.string(), ": the tokenizer's special tokens from id ", model,
                                " on have no embedding; none can be sampled, and no prompt may have one"));
  }
  if (!belongs) {
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

std::vector<tokenizer::Message> conversation_of(const data::Problem& problem) {
  if (problem.messages.empty()) return {{"user", problem.prompt}};
  std::vector<tokenizer::Message> messages;
  for (const auto& [role, content] : problem.messages) messages.push_back({role, content});
  return messages;
}

std::string place_of(const data::Problem& problem) { return base::concat(problem.file, ": problem ", problem.id); }

Prompt make_prompt(const tokenizer::ChatTemplate& chat, const data::Problem& problem) {
  GRPO_CHECK(!problem.answers.empty(), place_of(problem), ": no answer, not even an empty one");
  const auto messages = conversation_of(problem);
  try {
    return {.row = problem.row,
            .id = problem.id,
            .text = chat.prompt(messages),
            .gold = problem.answers.front(),
            .ids = {},
            .also_right = {problem.answers.begin() + 1, problem.answers.end()},
            .rejected = problem.rejected,
            .fields = problem.fields,
            .whole_row = problem.whole_row,
            .begun = tokenizer::begun_turn(messages),
            .place = problem.place,
            .set = problem.set};
  } catch (const base::ConfigError& error) {
    throw base::ConfigError(base::concat(place_of(problem), ": ", error.what()));
  }
}

void check_ids(const Policy& policy, const data::Problem& problem, const std::vector<int64_t>& ids) {
  if (ids.empty()) throw base::IoError(place_of(problem) + ": the prompt has no tokens");
  if (!policy.model) return;
  const int64_t vocabulary = policy.model->config().vocab_size;
  const auto beyond = std::find_if(ids.begin(), ids.end(), [&](int64_t id) { return id >= vocabulary; });
  if (beyond == ids.end()) return;
  throw base::ConfigError(base::concat(
      place_of(problem), ": the prompt has the token ", policy.tokenizer->token(*beyond).value_or(""), " with id ",
      *beyond, ", and the model's embedding has ", vocabulary, " rows; the tokenizer files belong to another model"));
}

}  // namespace

namespace {

std::unique_ptr<models::CausalLM> load_model(const PolicyConfig& config, const std::filesystem::path& weights,
                                             int64_t local_rank, uint64_t seed, bool value_head) {
  const at::Device device = models::resolve_device(config.device, local_rank);
  models::use_device(device);
  const at::ScalarType dtype = models::resolve_dtype(config.dtype, models::base_folder(config.path), device);
  const models::ConfigOverrides overrides{
      .max_positions = config.max_positions.value, .rope_theta = config.rope_theta.value, .value_head = value_head};
  if (!weights.empty()) return models::CausalLM::load(weights, dtype, device, overrides);
  if (config.init == models::WeightsChoice::kPretrained)
    return models::CausalLM::load(config.path, dtype, device, overrides);
  return models::CausalLM::init(models::read_model_config(config.path, overrides), seed, dtype, device);
}

}  // namespace

std::unique_ptr<models::CausalLM> load_model(const PolicyConfig& config, const std::filesystem::path& weights,
                                             int64_t local_rank, uint64_t seed) {
  return load_model(config, weights, local_rank, seed, /*value_head=*/false);
}

std::unique_ptr<models::CausalLM> load_critic(const PolicyConfig& config, int64_t local_rank, uint64_t seed) {
  return load_model(config, {}, local_rank, seed, /*value_head=*/true);
}

Policy load_tokenizer(const PolicyConfig& config) {
  Policy policy;
  policy.folder = models::base_folder(config.path);
  policy.tokenizer = tokenizer::Tokenizer::load(policy.folder);
  policy.chat_template = tokenizer::ChatTemplate::resolve(config.chat_template, policy.folder);
  return policy;
}

Policy load_policy(const PolicyConfig& config, const std::vector<int64_t>& extra_stop_ids,
                   const std::filesystem::path& weights, int64_t local_rank, uint64_t seed) {
  if (!std::filesystem::is_directory(config.path)) {
    throw base::ConfigError("model.path: no folder " + config.path +
                            "; expected a Hugging Face model folder with config.json and model.safetensors; "
                            "scripts/get_model.sh obtains public ones");
  }
  Policy policy = load_tokenizer(config);
  policy.model = load_model(config, weights, local_rank, seed);
  check_vocabulary(policy);
  policy.stop_ids = all_stop_ids(policy, extra_stop_ids);
  return policy;
}

std::vector<Prompt> make_prompts(const Policy& policy, const std::vector<data::Problem>& problems,
                                 int64_t max_prompt_tokens, int64_t* dropped, const PromptOptions& options) {
  tokenizer::ChatTemplate chat = *policy.chat_template;
  chat.set_system(options.system);
  std::vector<Prompt> prompts;
  prompts.reserve(problems.size());
  int64_t with_specials = 0;
  for (const auto& problem : problems) {
    Prompt prompt = make_prompt(chat, problem);
    prompt.ids = chat.encode_rendered(*policy.tokenizer, prompt.text);
    if (!options.allow_special_tokens && has_special_text(*policy.tokenizer, conversation_of(problem))) {
      prompt.ids = encode_as_text(*policy.tokenizer, chat, conversation_of(problem), place_of(problem));
      ++with_specials;
    }
    check_ids(policy, problem, prompt.ids);
    if (static_cast<int64_t>(prompt.ids.size()) > max_prompt_tokens) {
      ++*dropped;
      continue;
    }
    prompts.push_back(std::move(prompt));
  }
  if (with_specials > 0) {
    base::log_warning(base::concat(with_specials, " of ", problems.size(),
                                   " problems contain the text of special tokens, as <|im_end|>; they are "
                                   "read as plain text, not as tokens (data.allow_special_tokens)"));
  }
  return prompts;
}

}  // namespace grpo::trainer

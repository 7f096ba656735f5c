#include "grpo/trainer/policy.h"

#include <algorithm>
#include <string_view>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
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

namespace {

int64_t count_special(const tokenizer::Tokenizer& tokenizer, const std::vector<int64_t>& ids) {
  return std::count_if(ids.begin(), ids.end(), [&](int64_t id) { return tokenizer.is_special(id); });
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  return begin == std::string_view::npos ? text : text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

bool starts_with(const std::vector<int64_t>& ids, const std::vector<int64_t>& prefix) {
  return ids.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), ids.begin());
}

// The template's special tokens stay what they are, the problem's are read as text: a data set must not be able to write
// turns of its own. Templates strip white space at the ends of a message, hence `trimmed`.
std::vector<int64_t> encode_as_text(const Policy& policy, const Prompt& prompt, std::string_view problem) {
  const auto& tokenizer = *policy.tokenizer;
  const std::string_view text = trimmed(problem);
  std::vector<int64_t> ids;
  const auto add = [&](std::string_view part, bool parse_specials) {
    const auto more = tokenizer.encode(part, parse_specials);
    ids.insert(ids.end(), more.begin(), more.end());
  };
  std::string_view rest = prompt.text;
  for (size_t at = rest.find(text); at != std::string_view::npos; at = rest.find(text)) {
    add(rest.substr(0, at), true);
    add(text, false);
    rest.remove_prefix(at + text.size());
  }
  add(rest, true);
  const auto& bos = tokenizer.bos_prefix();
  if (starts_with(prompt.ids, bos) && !starts_with(ids, bos)) ids.insert(ids.begin(), bos.begin(), bos.end());
  return ids;
}

}  // namespace

std::vector<Prompt> make_prompts(const Policy& policy, const std::vector<data::Problem>& problems,
                                 int64_t max_prompt_tokens, int64_t* dropped) {
  std::vector<Prompt> prompts;
  prompts.reserve(problems.size());
  const int64_t of_template = count_special(*policy.tokenizer, policy.chat_template->encode_prompt(*policy.tokenizer, "1"));
  int64_t with_specials = 0;
  for (const auto& problem : problems) {
    Prompt prompt{.row = problem.row, .id = problem.id, .text = policy.chat_template->prompt(problem.prompt),
                  .gold = problem.answer, .ids = {}};
    prompt.ids = policy.chat_template->encode_prompt(*policy.tokenizer, problem.prompt);
    if (count_special(*policy.tokenizer, prompt.ids) > of_template) {
      prompt.ids = encode_as_text(policy, prompt, problem.prompt);
      ++with_specials;
    }
    if (prompt.ids.empty()) {
      throw base::IoError(base::concat(problem.file, ": row ", problem.row, ": the prompt has no tokens"));
    }
    if (static_cast<int64_t>(prompt.ids.size()) > max_prompt_tokens) {
      ++*dropped;
      continue;
    }
    prompts.push_back(std::move(prompt));
  }
  if (with_specials > 0) {
    base::log_warning(base::concat(with_specials, " of ", problems.size(), " problems contain the text of special tokens, as <|im_end|>; they are "
                                   "read as plain text, not as tokens"));
  }
  return prompts;
}

}  // namespace grpo::trainer

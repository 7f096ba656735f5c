#include "trainer/run_inputs.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/hash.h"
#include "grpo/io/safetensors.h"
#include "grpo/models/model_config.h"
#include "grpo/trainer/answer_store.h"
#include "trainer/train_shares.h"

namespace grpo::trainer {
namespace fs = std::filesystem;
namespace {

// Adds a part with its length before it, so that two parts cannot run into one another.
void add(std::string& all, const std::string& part) { all += std::to_string(part.size()) + ":" + part; }

std::string print_of(const std::vector<Prompt>& prompts) {
  std::string all;
  for (const Prompt& prompt : prompts) {
    add(all, hash_ids(prompt.ids));
    add(all, prompt.gold);
    for (const auto& gold : prompt.also_right) add(all, gold);
    if (!prompt.rejected.empty()) add(all, prompt.rejected);
  }
  return io::hash_bytes(all);
}

// A print of how a template renders a few conversations that tell templates apart. One that it cannot express counts as
// an empty text.
std::string print_of(const tokenizer::ChatTemplate& chat) {
  using Messages = std::vector<tokenizer::Message>;
  const std::array<Messages, 4> probes = {
      Messages{{"user", "u"}}, Messages{{"system", "s"}, {"user", " u "}},
      Messages{{"user", "u"}, {"assistant", "<think>\nt\n</think>\n\na"}, {"user", "v"}},
      Messages{{"user", "u"}, {"assistant", "a"}}};
  std::string all;
  for (const auto& probe : probes) {
    try {
      add(all, chat.prompt(probe));
    } catch (const base::ConfigError&) {
      add(all, "");
    }
  }
  return io::hash_bytes(all);
}

// A print of the start weights, tensor by tensor, so that it does not matter how they are split into files; of random
// ones, of their seed.
std::string print_of_weights(const TrainConfig& config) {
  if (config.model.init == models::WeightsChoice::kRandom)
    return io::hash_bytes(base::concat("random weights of seed ", config.run.seed));
  const auto stored = io::Safetensors::open(config.model.path);
  std::string all;
  for (const auto& [name, tensor] : stored.tensors()) {
    add(all, name);
    add(all, io::dtype_name(tensor.dtype));
    add(all, io::hash_bytes({reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size()}));
  }
  return io::hash_bytes(all);
}

std::string print_of_shape(const PolicyConfig& model) {
  const auto config = models::read_model_config(
      model.path, {.max_positions = model.max_positions.value, .rope_theta = model.rope_theta.value});
  return io::hash_bytes(models::to_json(config, "").dump());
}

constexpr const char* kMixture = "mixture";

// Null where all weights are 1, because then it does not matter how the problems are split into sets.
nlohmann::json mixture_of(const std::vector<data::SetShare>& shares) {
  nlohmann::json mixture = nlohmann::json::array();
  for (const auto& share : shares) mixture.push_back({share.rows, share.weight});
  const bool even =
      std::all_of(shares.begin(), shares.end(), [](const data::SetShare& share) { return share.weight == 1.0; });
  return even ? nlohmann::json() : mixture;
}

struct Input {
  const char* name;
  const char* what;  // for the message
};

constexpr std::array<Input, 8> kInputs = {
    {{"problems", "data.train: the content of the problems"},
     {kMixture, "data.train: the weights of its sets, as [problems, weight]"},
     {"template", "model.template: what it makes of a conversation"},
     {"prompts", "the prompts as tokens (model.path's tokenizer, data.max_prompt_tokens, data.system)"},
     {"stop_ids", "the stop ids (rollout.stop_ids, and those of model.path)"},
     {"shape", "model.path: its config.json"},
     {"reference", "model.path: the weights of the reference, which algorithm.kl or algorithm.dpo compares with"},
     {"base", "model.path: the weights that the adapters belong to"}}};

std::string shown(const nlohmann::json& inputs, const Input& input) {
  const auto value = inputs.value(input.name, nlohmann::json());
  if (std::string_view(input.name) != "problems") return value.is_string() ? value.get<std::string>() : value.dump();
  return base::concat(value.get<std::string>(), " (", inputs.at("num_problems").get<int64_t>(), " problems)");
}

}  // namespace

std::string print_of(const std::vector<data::Problem>& problems) {
  std::string all;
  for (const auto& problem : problems) {
    add(all, problem.prompt);
    for (const auto& message : problem.messages) {
      add(all, message.role);
      add(all, message.content);
    }
    for (const auto& answer : problem.answers) add(all, answer);
    if (!problem.rejected.empty()) add(all, problem.rejected);
    if (!problem.whole_row.empty()) add(all, problem.whole_row);
  }
  return io::hash_bytes(all);
}

nlohmann::json inputs_of(const TrainConfig& config, const Policy& policy, const std::vector<data::Problem>& problems,
                         const std::vector<Prompt>& prompts, const std::vector<EvalSet>& eval_sets) {
  auto stop_ids = policy.stop_ids;
  std::sort(stop_ids.begin(), stop_ids.end());
  nlohmann::json eval = nlohmann::json::object();
  for (const EvalSet& set : eval_sets) eval[set.name] = print_of(set.prompts);
  const bool adapters = config.model.lora.rank > 0;
  const bool compares = (holds_reference(config.algorithm) && !adapters) || config.algorithm.method == MethodKind::kDpo;
  return {{"problems", print_of(problems)},
          {"num_problems", problems.size()},
          {kMixture, mixture_of(train_shares(config.data.train, prompts))},
          {"template", print_of(*policy.chat_template)},
          {"prompts", print_of(prompts)},
          {"stop_ids", stop_ids},
          {"shape", print_of_shape(config.model)},
          {"reference", compares ? nlohmann::json(print_of_weights(config)) : nlohmann::json()},
          {"base", adapters ? nlohmann::json(print_of_weights(config)) : nlohmann::json()},
          {"eval", eval}};
}

std::vector<Change> changed_inputs(const nlohmann::json& saved, const nlohmann::json& now) {
  std::vector<Change> changes;
  if (!saved.is_object()) return changes;
  for (const Input& input : kInputs) {
    const bool consequence = std::string_view(input.name) == "prompts" && !changes.empty();
    // Older checkpoints have no mixture. Their weights were all 1, which is also what a mixture of null says.
    const bool known = saved.contains(input.name) || std::string_view(input.name) == kMixture;
    if (!known || saved.value(input.name, nlohmann::json()) == now.at(input.name) || consequence) continue;
    changes.push_back({input.what, shown(saved, input), shown(now, input)});
  }
  return changes;
}

std::vector<std::string> changed_eval_sets(const nlohmann::json& saved, const nlohmann::json& now) {
  std::vector<std::string> names;
  if (!saved.is_object() || !saved.contains("eval")) return names;
  for (const auto& [name, print] : now.at("eval").items()) {
    if (saved.at("eval").contains(name) && saved.at("eval").at(name) != print) names.push_back(name);
  }
  return names;
}

}  // namespace grpo::trainer

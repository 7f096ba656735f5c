#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/commands.h"
#include "app/field_flags.h"
#include "app/same_file.h"
#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/data/conversation.h"
#include "grpo/data/dataset.h"
#include "grpo/io/json.h"
#include "grpo/io/parse_json.h"
#include "grpo/models/causal_lm.h"
#include "grpo/rollout/engine.h"
#include "grpo/tokenizer/chat_template.h"
#include "grpo/tokenizer/tokenizer.h"
#include "grpo/trainer/policy.h"

namespace grpo::app {
namespace {

constexpr size_t kPromptWindow = 1024;  // prompts that are in memory at the same time

struct GenerateOptions {
  trainer::PolicyConfig model;
  std::string input = "-";
  std::string output = "-";
  int64_t samples = 1;
  rollout::SamplingConfig sampling;
  int64_t max_new_tokens = 256;
  int64_t seed = 0;
  bool ignore_eos = false;
  bool exact = false;
  GRPO_FIELDS(f) {
    f("samples", samples, "completions a prompt", base::at_least(1));
    sampling.fields(f);
    f("max_new_tokens", max_new_tokens, "longest completion", base::between(1, data::kMostTokens));
    f("seed", seed, "of the random numbers", base::at_least(0));
    f("ignore_eos", ignore_eos, "stop tokens do not end a completion");
    f("exact", exact, "a completion does not depend on its batch, bit for bit (float32 on the CPU)");
  }
};

// Tokenizer and template if the folder has tokenizer files; prompts given as ids need none.
struct Text {
  std::unique_ptr<tokenizer::Tokenizer> tokenizer;
  std::optional<tokenizer::ChatTemplate> chat_template;
};

Text load_text(const GenerateOptions& options) {
  Text text;
  const auto folder = models::base_folder(options.model.path);
  if (!tokenizer::Tokenizer::is_in(folder)) return text;
  text.tokenizer = tokenizer::Tokenizer::load(folder);
  text.chat_template = tokenizer::ChatTemplate::resolve(options.model.chat_template, folder);
  return text;
}

std::vector<int64_t> stop_ids_of(const GenerateOptions& options, const Text& text) {
  auto ids = models::stop_ids(models::base_folder(options.model.path));
  if (!text.tokenizer) return ids;
  if (const auto eos = text.tokenizer->eos_id()) ids.push_back(*eos);
  const auto end_of_turn = text.chat_template->end_of_turn();
  if (const auto id = end_of_turn.empty() ? std::nullopt : text.tokenizer->token_id(end_of_turn)) ids.push_back(*id);
  return ids;
}

std::vector<int64_t> given_ids(const nlohmann::json& list, const std::string& where) {
  if (!list.is_array()) throw base::IoError(where + ": prompt_ids: expected a list of token ids");
  std::vector<int64_t> ids;
  for (const auto& id : list) {
    if (!id.is_number_integer()) throw base::IoError(where + ": prompt_ids: expected integers, found " + id.dump());
    ids.push_back(id.get<int64_t>());
  }
  return ids;
}

std::vector<int64_t> conversation_ids(const nlohmann::json& list, const Text& text, const std::string& where) {
  std::vector<tokenizer::Message> messages;
  for (const auto& [role, content] : data::read_conversation(list, where, "prompt"))
    messages.push_back({role, content});
  try {
    return text.chat_template->encode_rendered(*text.tokenizer, text.chat_template->prompt(messages));
  } catch (const base::ConfigError& error) {
    throw base::ConfigError(
        base::concat(where, ": ", error.what(),
                     text.chat_template->name() == "none" ? "; --template auto takes the model's own" : ""));
  }
}

std::vector<int64_t> ids_of_row(const nlohmann::json& row, const Text& text, const std::string& where) {
  if (row.contains("prompt_ids")) return given_ids(row.at("prompt_ids"), where);
  const auto prompt = row.find("prompt");
  if (prompt == row.end()) {
    throw base::IoError(
        where + ": no \"prompt\" and no \"prompt_ids\"" +
        (row.contains("messages") ? "; a chat list is read from \"prompt\", not from \"messages\"" : ""));
  }
  if (!prompt->is_string() && !prompt->is_array())
    throw base::IoError(where + ": prompt is " + prompt->type_name() + ", expected a text or a list of chat messages");
  if (!text.tokenizer)
    throw base::ConfigError(where + ": \"prompt\" needs tokenizer.json or tokenizer.model in the model folder");
  return prompt->is_string() ? text.chat_template->encode_prompt(*text.tokenizer, prompt->get<std::string>())
                             : conversation_ids(*prompt, text, where);
}

std::vector<int64_t> prompt_ids(const nlohmann::json& row, const Text& text, const std::string& where,
                                int64_t vocab_size) {
  auto ids = ids_of_row(row, text, where);
  if (ids.empty()) throw base::IoError(where + ": the prompt has no tokens");
  for (const int64_t id : ids) {
    if (id < 0 || id >= vocab_size) {
      throw base::IoError(base::concat(where, ": id ", id, " is outside the model's vocabulary of ", vocab_size));
    }
  }
  return ids;
}

// RoPE continues beyond the positions for which a model was made, but its text soon becomes useless, so exceeding them
// is a warning. Exceeding them by far is an error, since nobody means that and it would take hours.
class PositionLimit {
 public:
  PositionLimit(int64_t max_positions, int64_t max_new_tokens)
      : max_positions_(max_positions), max_new_tokens_(max_new_tokens) {}

  void check(int64_t prompt_tokens, const std::string& where) {
    const double longest = static_cast<double>(prompt_tokens) + static_cast<double>(max_new_tokens_);
    if (longest <= static_cast<double>(max_positions_)) return;
    const std::string what = base::concat(where, ": a prompt of ", prompt_tokens, " tokens and --max-new-tokens ",
                                          max_new_tokens_, " can exceed the model's ", max_positions_, " positions");
    if (longest > kFar * static_cast<double>(max_positions_)) {
      throw base::IoError(
          base::concat(what, " more than ", kFar, "-fold; use a shorter prompt or a smaller --max-new-tokens"));
    }
    if (!std::exchange(warned_, true)) base::log_warning(what + "; RoPE continues beyond them");
  }

 private:
  static constexpr int64_t kFar = 64;
  int64_t max_positions_, max_new_tokens_;
  bool warned_ = false;
};

nlohmann::ordered_json to_json(const rollout::Completion& completion, const Text& text) {
  nlohmann::ordered_json json = {{"ids", completion.ids}};
  if (text.tokenizer) json["text"] = text.tokenizer->decode(completion.ids, /*skip_special=*/true);
  json["logprobs"] = completion.log_probs;
  json["finish_reason"] = rollout::to_string(completion.finish_reason);
  return json;
}

void run_generate(const GenerateOptions& options) {
  refuse_same_file(options.input, options.output);
  const auto model = load_model(options.model);
  const Text text = load_text(options);
  rollout::Engine engine(
      *model, {.max_sequences = rollout::auto_max_sequences(model->device().is_cuda()), .exact = options.exact});
  const rollout::GenerationOptions generation{.sampling = options.sampling,
                                              .max_new_tokens = options.max_new_tokens,
                                              .stop_ids = stop_ids_of(options, text),
                                              .ignore_eos = options.ignore_eos};
  const base::RandomKey key{static_cast<uint64_t>(options.seed), base::stream_id("generate")};
  io::JsonlReader reader(options.input);
  io::JsonlWriter writer(options.output);
  std::vector<nlohmann::ordered_json> rows;
  std::vector<rollout::Request> requests;
  const auto flush = [&] {
    const auto groups = engine.generate(requests, generation, key);
    for (size_t i = 0; i < rows.size(); ++i) {
      rows[i]["completions"] = nlohmann::ordered_json::array();
      for (const auto& completion : groups[i].completions) rows[i]["completions"].push_back(to_json(completion, text));
      writer.write(rows[i]);
    }
    rows.clear();
    requests.clear();
  };
  PositionLimit positions(model->config().max_positions, options.max_new_tokens);
  nlohmann::json row;
  for (uint64_t draw = 0; reader.next(row); ++draw) {
    const std::string where = base::concat(reader.path(), ":", reader.line());
    requests.push_back({.prompt_ids = prompt_ids(row, text, where, model->config().vocab_size),
                        .draw = draw,
                        .first_sample = 0,
                        .num_samples = options.samples});
    positions.check(static_cast<int64_t>(requests.back().prompt_ids.size()), where);
    rows.push_back(io::parse_ordered_json(reader.text(), where));  // keeps the order of the row's fields
    if (rows.size() == kPromptWindow) flush();
  }
  flush();
}

}  // namespace

void add_generate(CLI::App& app) {
  auto* command = app.add_subcommand("generate", "Sample completions of prompts");
  auto o = std::make_shared<GenerateOptions>();
  command->add_option("--model", o->model.path, "Hugging Face model folder")->required();
  command->add_option("--input", o->input,
                      "JSONL with \"prompt\" (a text or chat messages) or \"prompt_ids\"; - is stdin");
  command->add_option("--output", o->output, "the same rows with \"completions\"; - is stdout");
  o->model.chat_template.text = "none";
  add_flags(*command, base::fields_of(o->model), {"template", "dtype", "device"});
  add_flags(*command, base::fields_of(*o));
  command->callback([o] { run_generate(*o); });
}

}  // namespace grpo::app

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/field_flags.h"
#include "app/same_file.h"
#include "grpo/base/error.h"
#include "grpo/io/json.h"
#include "grpo/io/parse_json.h"
#include "grpo/models/causal_lm.h"
#include "grpo/nn/lm_head.h"
#include "grpo/trainer/policy.h"

namespace grpo::app {
namespace {

struct ScoreOptions {
  trainer::PolicyConfig model;
  std::string input = "-";
  std::string output = "-";
  rollout::SamplingConfig sampling;  // only the temperature is used
};

// Rows are scored together up to this many tokens; a longer row is scored alone.
constexpr size_t kBatchTokens = 8192;

struct Row {
  nlohmann::ordered_json fields;  // the row's fields in their order
  std::vector<int64_t> ids;
  size_t num_targets() const { return ids.empty() ? 0 : ids.size() - 1; }
};

std::vector<int64_t> read_ids(const nlohmann::json& row, int64_t vocab_size, const std::string& where) {
  const auto found = row.find("ids");
  if (found == row.end() || !found->is_array())
    throw base::IoError(where + ": no \"ids\"; expected a list of token ids");
  std::vector<int64_t> ids;
  for (const auto& id : *found) {
    if (!id.is_number_integer()) throw base::IoError(where + ": ids: expected integers, found " + id.dump());
    ids.push_back(id.get<int64_t>());
    if (ids.back() < 0 || ids.back() >= vocab_size) {
      throw base::IoError(
          base::concat(where, ": id ", id.dump(), " is outside the model's vocabulary of ", vocab_size));
    }
  }
  return ids;
}

// log p(ids[t] | ids[<t]) for t >= 1 of every row; the rows' values follow one another.
std::vector<float> log_probs_of(const models::CausalLM& model, const std::vector<Row>& rows, double temperature) {
  const at::NoGradGuard no_grad;
  std::vector<std::vector<int64_t>> contexts;  // the ids without the last one, after which nothing is predicted
  std::vector<int64_t> targets;
  for (const Row& row : rows) {
    if (row.num_targets() == 0) continue;
    contexts.emplace_back(row.ids.begin(), row.ids.end() - 1);
    targets.insert(targets.end(), row.ids.begin() + 1, row.ids.end());
  }
  if (contexts.empty()) return {};
  const auto hidden = model.hidden_states(nn::PackedBatch::pack(contexts, model.device()));
  const auto log_probs =
      nn::token_log_probs(hidden, model.head_weight(), at::tensor(targets, at::kLong).to(model.device()),
                          {.temperature = temperature == 0.0 ? 1.0 : temperature})
          .log_probs.cpu()
          .contiguous();
  return {log_probs.const_data_ptr<float>(), log_probs.const_data_ptr<float>() + log_probs.numel()};
}

void write_scores(const models::CausalLM& model, double temperature, std::vector<Row>& rows, io::JsonlWriter& writer) {
  const auto log_probs = log_probs_of(model, rows, temperature);
  const float* next = log_probs.data();
  for (Row& row : rows) {
    row.fields["logprobs"] = std::vector<float>(next, next + row.num_targets());
    next += row.num_targets();
    writer.write(row.fields);
  }
  rows.clear();
}

void run_score(const ScoreOptions& options) {
  refuse_same_file(options.input, options.output);
  const auto model = load_model(options.model);
  io::JsonlReader reader(options.input);
  io::JsonlWriter writer(options.output);
  std::vector<Row> rows;
  size_t tokens = 0;
  nlohmann::json json;
  while (reader.next(json)) {
    Row row{.fields = io::parse_ordered_json(reader.text(), reader.path()),
            .ids = read_ids(json, model->config().vocab_size, base::concat(reader.path(), ":", reader.line()))};
    if (tokens + row.ids.size() > kBatchTokens) {
      write_scores(*model, options.sampling.temperature, rows, writer);
      tokens = 0;
    }
    tokens += row.ids.size();
    rows.push_back(std::move(row));
  }
  write_scores(*model, options.sampling.temperature, rows, writer);
}

}  // namespace

void add_score(CLI::App& app) {
  auto* command = app.add_subcommand("score", "Log-probability of each token of given id sequences");
  auto options = std::make_shared<ScoreOptions>();
  command->add_option("--model", options->model.path, "Hugging Face model folder (no tokenizer needed)")->required();
  command->add_option("--input", options->input, "JSONL with \"ids\"; - is stdin");
  command->add_option("--output", options->output, "the same rows with \"logprobs\" (one fewer than ids); - is stdout");
  add_flags(*command, base::fields_of(options->model), {"dtype", "device"});
  auto sampling = base::fields_of(options->sampling);
  sampling.at("temperature").doc = "logits are divided by it; 0: raw logits";
  add_flags(*command, sampling, {"temperature"});
  command->callback([options] { run_score(*options); });
}

}  // namespace grpo::app

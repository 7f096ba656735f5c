#include <ATen/ATen.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/commands.h"
#include "grpo/base/error.h"
#include "grpo/io/json.h"
#include "grpo/models/causal_lm.h"
#include "grpo/models/device.h"
#include "grpo/nn/lm_head.h"

namespace grpo::app {
namespace {

constexpr int64_t kBatchTokens = 8192;

struct Options {
  std::string model;
  std::string input = "-";
  std::string output = "-";
  std::string dtype = "float32";
  std::string device = "auto";
  double temperature = 1.0;
};

std::vector<int64_t> read_ids(const nlohmann::json& row, const io::JsonlReader& reader, int64_t vocab_size) {
  const std::string where = base::concat(reader.path(), ":", reader.line());
  if (!row.contains("ids") || !row.at("ids").is_array()) throw base::IoError(where + ": no \"ids\"; expected a list of token ids");
  std::vector<int64_t> ids;
  for (const auto& id : row.at("ids")) {
    if (!id.is_number_integer()) throw base::IoError(where + ": ids: expected integers, found " + id.dump());
    ids.push_back(id.get<int64_t>());
    if (ids.back() < 0 || ids.back() >= vocab_size) {
      throw base::IoError(base::concat(where, ": id ", ids.back(), " is outside the model's vocabulary of ", vocab_size));
    }
  }
  return ids;
}

// log p(ids[t] | ids[<t]) for t >= 1, of each sequence.
std::vector<std::vector<float>> score(const models::CausalLM& model, const std::vector<std::vector<int64_t>>& sequences,
                                      double temperature) {
  const at::NoGradGuard no_grad;
  std::vector<std::vector<int64_t>> packed;
  std::vector<int64_t> targets;
  for (const auto& ids : sequences) {
    if (ids.size() < 2) continue;
    packed.emplace_back(ids.begin(), ids.end() - 1);
    targets.insert(targets.end(), ids.begin() + 1, ids.end());
  }
  at::Tensor log_probs = at::empty({0}, at::kFloat);
  if (!packed.empty()) {
    const auto hidden = model.hidden_states(nn::PackedBatch::pack(packed, model.device()));
    log_probs = nn::token_log_probs(hidden, model.head_weight(), at::tensor(targets, at::kLong).to(model.device()),
                                    {.temperature = temperature})
                    .log_probs.cpu()
                    .contiguous();
  }
  const float* next = log_probs.const_data_ptr<float>();
  std::vector<std::vector<float>> result;
  for (const auto& ids : sequences) {
    const size_t count = ids.empty() ? 0 : ids.size() - 1;
    result.emplace_back(next, next + count);
    next += count;
  }
  return result;
}

void run(const Options& options) {
  if (options.temperature <= 0.0) throw base::ConfigError("--temperature must be above 0");
  const at::Device device = models::resolve_device(options.device);
  const auto dtype = models::resolve_dtype(options.dtype, options.model, device);
  const auto model = models::CausalLM::load(options.model, dtype, device);
  io::JsonlReader reader(options.input);
  io::JsonlWriter writer(options.output);
  std::vector<nlohmann::ordered_json> rows;
  std::vector<std::vector<int64_t>> sequences;
  int64_t tokens = 0;
  const auto flush = [&] {
    const auto scores = score(*model, sequences, options.temperature);
    for (size_t i = 0; i < rows.size(); ++i) {
      rows[i]["logprobs"] = scores[i];
      writer.write(rows[i]);
    }
    rows.clear();
    sequences.clear();
    tokens = 0;
  };
  nlohmann::json row;
  while (reader.next(row)) {
    sequences.push_back(read_ids(row, reader, model->config().vocab_size));
    rows.emplace_back(row);
    tokens += static_cast<int64_t>(sequences.back().size());
    if (tokens >= kBatchTokens) flush();
  }
  flush();
}

}  // namespace

void add_score(CLI::App& app) {
  auto* command = app.add_subcommand("score", "Log-probability of each token of given id sequences");
  auto options = std::make_shared<Options>();
  command->add_option("--model", options->model, "Hugging Face model folder (no tokenizer needed)")->required();
  command->add_option("--input", options->input, "JSONL with \"ids\"; - is stdin");
  command->add_option("--output", options->output, "the same rows with \"logprobs\" (one fewer than ids); - is stdout");
  command->add_option("--dtype", options->dtype, "float32 (default), bfloat16 or auto");
  command->add_option("--device", options->device, "auto, cpu or cuda");
  command->add_option("--temperature", options->temperature, "logits are divided by it");
  command->callback([options] { run(*options); });
}

}  // namespace grpo::app

#include "trainer/plan_inputs.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "grpo/models/device.h"
#include "trainer/load_prompts.h"

namespace grpo::trainer {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kAssumedEvalProblems = 500;  // as many as MATH-500 has

// The published sizes of Qwen2.5.
struct Shape {
  const char* name;
  int64_t hidden, intermediate, layers, heads, kv_heads, vocabulary;
  bool tied;
};

constexpr std::array<Shape, 6> kShapes = {{{"0.5b", 896, 4864, 24, 14, 2, 151936, true},
                                           {"1.5b", 1536, 8960, 28, 12, 2, 151936, true},
                                           {"3b", 2048, 11008, 36, 16, 2, 151936, true},
                                           {"7b", 3584, 18944, 28, 28, 4, 152064, false},
                                           {"14b", 5120, 13824, 48, 40, 8, 152064, false},
                                           {"32b", 5120, 27648, 64, 40, 8, 152064, false}}};

models::ModelConfig model_of(const Shape& shape) {
  models::ModelConfig model;
  model.model_type = "qwen2";
  model.vocab_size = shape.vocabulary;
  model.hidden_size = shape.hidden;
  model.intermediate_size = shape.intermediate;
  model.num_layers = shape.layers;
  model.num_heads = shape.heads;
  model.num_kv_heads = shape.kv_heads;
  model.head_dim = shape.hidden / shape.heads;
  model.max_positions = 32768;
  model.tied_embeddings = shape.tied;
  model.qkv_bias = true;
  model.rope.theta = 1e6;
  return model;
}

models::ModelConfig assumed_model(const std::string& name) {
  std::vector<std::string> names;
  for (const Shape& shape : kShapes) {
    if (name == shape.name) return model_of(shape);
    names.emplace_back(shape.name);
  }
  const fs::path path(name);
  if (fs::is_directory(path)) return models::read_model_config(path);
  if (path.filename() == "config.json" && fs::exists(path))
    return models::read_model_config(path.has_parent_path() ? path.parent_path() : ".");
  throw base::ConfigError("--shape " + name + ": expected " + base::join(names, ", ") + ", or a config.json" +
                          base::did_you_mean(name, names));
}

// Problems of the set `name`.
std::vector<data::Problem> assumed_problems(int64_t rows, const std::string& name) {
  std::vector<data::Problem> problems(static_cast<size_t>(rows));
  for (size_t i = 0; i < problems.size(); ++i) {
    problems[i].row = static_cast<int64_t>(i);
    // All different, in all sets, so that none counts as evaluated on or there twice.
    problems[i].prompt = base::concat(name, ":", i);
  }
  return problems;
}

std::vector<data::Problem> load(const TrainConfig& config, const std::vector<std::string>& files) {
  return data::load_problems(files, config.data.prompt_key, config.data.answer_key, config.data.extra_keys);
}

void require_there(const std::vector<data::TrainSet>& sets) {
  for (const auto& set : sets) {
    for (const auto& file : set.path) {
      if (!fs::exists(file))
        throw base::ConfigError("data.train: no file " + file + " here; --rows N plans without it");
    }
  }
}

void read_evaluated(const TrainConfig& config, const PlanAssumptions& assumptions, PlanInputs& inputs) {
  if (config.eval.every_steps == 0) return;
  for (const auto& file : config.eval.data) {
    const bool there = fs::exists(file);
    if (!there && !assumptions.rows)
      throw base::ConfigError("eval.data: no file " + file + " here; --rows N plans without files");
    auto problems = there ? load(config, {file}) : assumed_problems(kAssumedEvalProblems, file);
    if (!there)
      inputs.assumed.push_back(base::concat(file, " is not here; assumed to have ", kAssumedEvalProblems, " problems"));
    inputs.evaluated.insert(inputs.evaluated.end(), problems.begin(), problems.end());
  }
}

}  // namespace

PlanInputs plan_inputs(const TrainConfig& config, const PlanAssumptions& assumptions) {
  PlanInputs inputs;
  if (assumptions.rows) {
    inputs.train = assumed_problems(*assumptions.rows, "data.train");
    inputs.assumed.push_back(base::concat("data.train has ", *assumptions.rows, " problems (--rows)"));
  } else {
    require_there(config.data.train);
    inputs.train = load_train_problems(config.data, row_kind(config));
  }
  read_evaluated(config, assumptions, inputs);
  if (!assumptions.shape.empty()) {
    inputs.model = assumed_model(assumptions.shape);
    inputs.assumed.push_back(base::concat("the model has the shape ", assumptions.shape, " (--shape)"));
    return inputs;
  }
  if (!fs::is_directory(config.model.path)) {
    throw base::ConfigError("model.path: no folder " + config.model.path +
                            " here; --shape 1.5b, or --shape FILE/config.json, plans without it");
  }
  inputs.model = models::read_model_config(config.model.path, {.max_positions = config.model.max_positions.value,
                                                               .rope_theta = config.model.rope_theta.value});
  return inputs;
}

at::ScalarType plan_dtype(const TrainConfig& config, const PlanAssumptions& assumptions, bool cuda) {
  const at::Device device = cuda ? at::Device(at::kCUDA) : at::Device(at::kCPU);
  if (cuda && !assumptions.shape.empty() && config.model.dtype == models::DtypeChoice::kAuto) return at::kBFloat16;
  return models::resolve_dtype(config.model.dtype, config.model.path, device);
}

}  // namespace grpo::trainer

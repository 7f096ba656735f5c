#include "models/adapters.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "grpo/base/error.h"
#include "grpo/base/random.h"
#include "grpo/base/text.h"

namespace grpo::models {
namespace {

struct Target {
  const char* part;  // the part of a decoder layer in which the linear layer is
  const char* name;
  Linear DecoderLayer::*linear;
};

constexpr std::array<Target, 7> kTargets = {{{"self_attn", "q_proj", &DecoderLayer::q},
                                             {"self_attn", "k_proj", &DecoderLayer::k},
                                             {"self_attn", "v_proj", &DecoderLayer::v},
                                             {"self_attn", "o_proj", &DecoderLayer::o},
                                             {"mlp", "gate_proj", &DecoderLayer::gate},
                                             {"mlp", "up_proj", &DecoderLayer::up},
                                             {"mlp", "down_proj", &DecoderLayer::down}}};
constexpr const char* kAll = "all-linear";

bool is_target(const LoraConfig& config, const std::string& name) {
  return std::any_of(config.targets.begin(), config.targets.end(),
                     [&](const std::string& target) { return target == kAll || target == name; });
}

// The initial A of peft: kaiming-uniform with a = sqrt(5), which is uniform in +-1 / sqrt(in).
at::Tensor initial_a(const std::string& name, int64_t rank, int64_t in, uint64_t seed) {
  auto a = at::empty({rank, in}, at::kFloat);
  const base::RandomKey key{seed, base::stream_id(name)};
  const double bound = 1.0 / std::sqrt(static_cast<double>(in));
  float* values = a.data_ptr<float>();
  for (int64_t i = 0; i < a.numel(); ++i)
    values[i] = static_cast<float>(bound * (2.0 * base::uniform(key, static_cast<uint64_t>(i), 0, 0) - 1.0));
  return a;
}

int64_t dropout_key(const std::string& module, uint64_t seed) {
  const auto bits = base::philox({0, 0, 0, 0}, base::philox_key({seed, base::stream_id(module + " dropout")}));
  return static_cast<int64_t>((uint64_t{bits[0]} << 32) | bits[1]);
}

// Moves the factors of a layer into one piece of memory with the dtype and device of the layer's weights.
void join_factors(DecoderLayer& layer) {
  std::vector<at::Tensor*> factors;
  for (const Target& target : kTargets) {
    nn::Adapter& adapter = (layer.*target.linear).adapter;
    if (adapter.is_there()) factors.insert(factors.end(), {&adapter.a, &adapter.b});
  }
  int64_t size = 0;
  for (const at::Tensor* factor : factors) size += aligned(factor->numel());
  const auto memory = at::zeros({size}, layer.o.weight.options().requires_grad(false));
  int64_t begin = 0;
  for (at::Tensor* factor : factors) {
    const auto place = memory.narrow(0, begin, factor->numel()).view(factor->sizes());
    place.copy_(*factor);
    begin += aligned(factor->numel());
    *factor = place;
  }
}

}  // namespace

std::vector<NamedLinear> linears_of(DecoderWeights& weights) {
  std::vector<NamedLinear> linears;
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    for (const Target& target : kTargets) {
      linears.push_back({base::concat("model.layers.", i, ".", target.part, ".", target.name), target.name,
                         &(weights.layers[i].*target.linear)});
    }
  }
  return linears;
}

void validate(const LoraConfig& config) {
  std::vector<std::string> known = {kAll};
  for (const Target& target : kTargets) known.emplace_back(target.name);
  for (const auto& target : config.targets) {
    if (std::find(known.begin(), known.end(), target) != known.end()) continue;
    throw base::ConfigError(base::concat("model.lora.targets: ", target, " is none of ", base::join(known, ", "),
                                         "; embeddings, norms and the head get no adapter"));
  }
  if (config.targets.empty()) throw base::ConfigError("model.lora.targets: names no layer");
}

double adapter_elements(const ModelConfig& model, const LoraConfig& config) {
  if (config.rank == 0) return 0.0;
  double elements = 0.0;
  for (const auto& weight : weight_sizes(model)) {
    const auto has_name = [&](const Target& target) {
      return is_target(config, target.name) && weight.name.ends_with(base::concat(target.name, ".weight"));
    };
    if (std::any_of(kTargets.begin(), kTargets.end(), has_name))
      elements += static_cast<double>(config.rank * (weight.shape[0] + weight.shape[1]));
  }
  return elements;
}

void make_adapters(DecoderWeights& weights, const LoraConfig& config, uint64_t seed) {
  const at::NoGradGuard no_grad;
  for (auto& [module, projection, linear] : linears_of(weights)) {
    if (!is_target(config, projection)) continue;
    const int64_t out = linear->weight.size(0), in = linear->weight.size(1);
    linear->adapter = {.a = initial_a(module + ".lora_A.weight", config.rank, in, seed),
                       .b = at::zeros({out, config.rank}, at::kFloat),
                       .scale = config.alpha / static_cast<double>(config.rank),
                       .dropout = {.p = config.dropout, .key = dropout_key(module, seed)}};
  }
  for (DecoderLayer& layer : weights.layers) join_factors(layer);
  for (auto& [name, factor] : name_adapters(weights)) factor.set_requires_grad(true);
}

void copy_adapters(DecoderWeights& weights) {
  const at::NoGradGuard no_grad;
  for (DecoderLayer& layer : weights.layers) join_factors(layer);
}

void remove_adapters(DecoderWeights& weights) {
  for (const auto& named : linears_of(weights)) named.linear->adapter = {};
}

NamedTensors name_adapters(const DecoderWeights& weights) {
  NamedTensors factors;
  DecoderWeights handles = weights;
  for (const auto& [module, projection, linear] : linears_of(handles)) {
    if (!linear->adapter.is_there()) continue;
    factors.emplace_back(module + ".lora_A.weight", linear->adapter.a);
    factors.emplace_back(module + ".lora_B.weight", linear->adapter.b);
  }
  return factors;
}

}  // namespace grpo::models

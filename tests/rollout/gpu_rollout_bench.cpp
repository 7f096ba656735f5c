// Measures rollouts on a CUDA device; not a test. scripts/gpu_check.sh runs it. One JSON line a measurement.
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>

#include "grpo/base/error.h"
#include "grpo/kernels/cuda.h"
#include "grpo/rollout/engine.h"
#include "support/gpu_bench.h"

namespace {

using namespace grpo;
using testing::kDevice;
using testing::print;
using testing::random_model;
using testing::seconds;
using testing::shape_of;

double best_of_five(const std::function<void()>& work) {
  double best = 1e9;
  for (int i = 0; i < 5; ++i) best = std::min(best, seconds(work));
  return best;
}

// What a roofline is made of, as a plain copy and a plain product reach it here.
struct Roofline {
  double bytes_per_s;
  double operations_per_s;

  double seconds(double bytes, double operations) const {
    return std::max(bytes / bytes_per_s, operations / operations_per_s);
  }
};

// tiny: as much as a CPU does in a moment, also one that stands for a GPU.
Roofline measure_roofline(at::ScalarType type, bool tiny) {
  const bool large = kDevice.is_cuda() && !tiny;
  const int64_t bytes = int64_t{1} << (large ? 30 : 26), n = large ? 8192 : 1024;
  const auto from = at::ones({bytes}, at::TensorOptions(kDevice).dtype(at::kByte)), to = at::empty_like(from);
  const auto a = at::randn({n, n}, at::TensorOptions(kDevice).dtype(type));
  auto out = at::empty_like(a);
  return {
      .bytes_per_s = 2.0 * static_cast<double>(bytes) / best_of_five([&] { to.copy_(from); }),
      .operations_per_s = 2.0 * std::pow(static_cast<double>(n), 3.0) / best_of_five([&] { at::mm_out(out, a, a); })};
}

std::vector<rollout::Request> prompts(int64_t count, int64_t tokens, int64_t vocab_size) {
  std::vector<rollout::Request> requests;
  for (int64_t i = 0; i < count; ++i) {
    rollout::Request request{.prompt_ids = {}, .draw = static_cast<uint64_t>(i)};
    for (int64_t t = 0; t < tokens; ++t)
      request.prompt_ids.push_back(100 + (i * 7919 + t * 104729) % (vocab_size - 100));
    requests.push_back(std::move(request));
  }
  return requests;
}

// Seconds of one decode step with `sequences` sequences of about `context` tokens. The engine asks between steps
// whether to stop; the clock starts after the first of them, which follow the prefill and record graphs.
double step_seconds(const models::CausalLM& model, int64_t context, const rollout::EngineOptions& config) {
  constexpr int64_t kWarm = 16, kTimed = 128;
  rollout::Engine engine(model, config);
  const auto requests = prompts(config.max_sequences, context - kWarm - kTimed / 2, model.config().vocab_size);
  using Clock = std::chrono::steady_clock;
  Clock::time_point begin, end;
  int64_t asked = 0;
  const auto should_stop = [&] {
    ++asked;
    if (asked == kWarm) begin = Clock::now();
    if (asked == kWarm + kTimed) end = Clock::now();
    return asked == kWarm + kTimed;
  };
  engine.generate(requests, {.max_new_tokens = 2 * (kWarm + kTimed), .ignore_eos = true}, {1, 2}, {}, should_stop);
  return std::chrono::duration<double>(end - begin).count() / static_cast<double>(kTimed);
}

double weights_read(const models::ModelConfig& config) {  // every one but the input embedding
  const auto head = static_cast<double>(config.vocab_size * config.hidden_size);
  return static_cast<double>(config.num_parameters()) - (config.tied_embeddings ? 0.0 : head);
}

// Bytes that a step reads: weights once, and the sequences' keys and values.
double step_bytes(const models::ModelConfig& config, int64_t sequences, int64_t context, double element) {
  const auto kv = static_cast<double>(2 * config.num_layers * config.num_kv_heads * config.head_dim);
  return element * (weights_read(config) + kv * static_cast<double>(sequences * context));
}

// Two for each weight and sequence, and for each element of a key or value and query head that reads it.
double step_operations(const models::ModelConfig& config, int64_t sequences, int64_t context) {
  const auto attention = static_cast<double>(4 * config.num_layers * config.num_heads * config.head_dim * context);
  return static_cast<double>(sequences) * (2.0 * weights_read(config) + attention);
}

struct Size {
  int64_t context = 0, sequences = 0;
};

// From texts as 1024x64; without any the sizes of the tables in docs/benchmarks.
std::vector<Size> sizes_of(const std::vector<std::string>& texts, bool tiny) {
  std::vector<Size> sizes;
  for (const auto& text : texts) {
    long long context = 0, sequences = 0;
    if (std::sscanf(text.c_str(), "%lldx%lld", &context, &sequences) != 2)
      throw base::Error("not CONTEXTxSEQUENCES: " + text);
    sizes.push_back({context, sequences});
  }
  if (!sizes.empty()) return sizes;
  if (tiny) return {{256, 8}};  // shows that the program works
  return {{1024, 64}, {1024, 256}, {1024, 512}, {4096, 64}, {4096, 256}, {4096, 512}};
}

// Both kernels where the group is one that both serve and the plain one might lose.
std::vector<kernels::DecodeKernel> kernels_to_measure(const models::ModelConfig& config, bool exact) {
  const bool both = !exact && kDevice.is_cuda() && config.num_heads / config.num_kv_heads >= 4;
  if (!both) return {kernels::DecodeKernel::kAuto};
  return {kernels::DecodeKernel::kPlain, kernels::DecodeKernel::kTensorCores};
}

std::string name_of(kernels::DecodeKernel kernel) {
  return kernel == kernels::DecodeKernel::kAuto    ? "auto"
         : kernel == kernels::DecodeKernel::kPlain ? "plain"
                                                   : "tensor cores";
}

void decode(const std::string& name, bool exact, const std::vector<std::string>& sizes) {
  const auto config = shape_of(name);
  const auto type = exact && kDevice.is_cpu() ? at::kFloat : at::kBFloat16;  // exact in fp32 only there
  const auto model = random_model(config, type);
  const auto roofline = measure_roofline(type, name == "tiny");
  for (const auto& [context, sequences] : sizes_of(sizes, name == "tiny")) {
    const double bytes = step_bytes(config, sequences, context, static_cast<double>(c10::elementSize(type)));
    const double operations = step_operations(config, sequences, context);
    for (const auto kernel : kernels_to_measure(config, exact)) {
      const double step =
          step_seconds(*model, context, {.max_sequences = sequences, .exact = exact, .decode_kernel = kernel});
      print({{"bench", "decode"},
             {"model", name},
             {"exact", exact},
             {"decode_kernel", name_of(kernel)},
             {"sequences", sequences},
             {"context", context},
             {"step_ms", 1e3 * step},
             {"tokens_per_s", static_cast<double>(sequences) / step},
             {"copy_bandwidth_gb_s", roofline.bytes_per_s / 1e9},
             {"product_tflop_s", roofline.operations_per_s / 1e12},
             {"roofline_ms", 1e3 * roofline.seconds(bytes, operations)},
             {"roofline_share", roofline.seconds(bytes, operations) / step}});
    }
  }
}

// 256 pairs whose lengths have a heavy tail: the stop ids' share of the vocabulary makes them geometric with a mean of
// 600 tokens, as far as random weights give nearly equal probabilities; cut at 3,072.
void rollout_of_pairs(const std::string& name) {
  const auto config = shape_of(name);
  const auto model = random_model(config);
  const bool tiny = name == "tiny";  // shows that the program works
  const int64_t pairs = tiny ? 8 : 256, mean = tiny ? 30 : 600;
  rollout::Engine engine(*model, {.max_sequences = 2 * pairs});
  std::vector<rollout::Request> requests = prompts(pairs, 128, config.vocab_size);
  std::vector<int64_t> stop_ids;
  for (int64_t id = 0; id < config.vocab_size; id += mean) stop_ids.push_back(id);
  for (auto& request : requests) request.num_samples = 2;
  const rollout::GenerationOptions generation{.max_new_tokens = 5 * mean + 72, .stop_ids = stop_ids};
  engine.generate(requests, generation, {1, 2});
  int64_t longest = 0;
  const double wall = seconds([&] {
    for (const auto& group : engine.generate(requests, generation, {1, 3})) {
      for (const auto& completion : group.completions)
        longest = std::max(longest, static_cast<int64_t>(completion.ids.size()));
    }
  });
  print({{"bench", "rollout"},
         {"model", name},
         {"sequences", 2 * pairs},
         {"tokens", engine.stats().completion_tokens},
         {"longest", longest},
         {"decode_steps", engine.stats().decode_steps},
         {"wall_s", wall},
         {"tokens_per_s", static_cast<double>(engine.stats().completion_tokens) / wall}});
}

}  // namespace

int main(int argc, char** argv) {
  auto arguments = testing::take_device(argc, argv);
  if (arguments.size() < 2) {
    std::fprintf(
        stderr,
        "usage: grpo_gpu_rollout_bench decode|exact|rollout 1.5b|7b|tiny [CONTEXTxSEQUENCES ...] [--device cpu]\n");
    return 2;
  }
  const std::string what = arguments[0], name = arguments[1];
  arguments.erase(arguments.begin(), arguments.begin() + 2);
  testing::need_device();
  what == "rollout" ? rollout_of_pairs(name) : decode(name, what == "exact", arguments);
  return 0;
}

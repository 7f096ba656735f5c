// Measures rollouts on a CUDA device; not a test. scripts/gpu_check.sh runs it. One JSON line a measurement.
#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
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

// Bytes per second that a plain copy reads and writes: the roofline's slope.
double copy_bandwidth() {
  const auto from = at::ones({int64_t{1} << 30}, at::TensorOptions(kDevice).dtype(at::kByte)),
             to = at::empty_like(from);
  double best = 1e9;
  for (int i = 0; i < 5; ++i) best = std::min(best, seconds([&] { to.copy_(from); }));
  return 2.0 * static_cast<double>(from.numel()) / best;
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

rollout::EngineConfig engine_config(int64_t sequences, bool exact) {
  return {.max_sequences = sequences, .exact = exact};
}

// Seconds of one decode step with `sequences` sequences of about `context` tokens. The engine asks between steps
// whether to stop; the clock starts after the first of them, which follow the prefill and record graphs.
double step_seconds(const models::CausalLM& model, int64_t sequences, int64_t context, bool exact) {
  constexpr int64_t kWarm = 16, kTimed = 128;
  rollout::Engine engine(model, engine_config(sequences, exact));
  const auto requests = prompts(sequences, context - kWarm - kTimed / 2, model.config().vocab_size);
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

// Bytes that a step reads: every weight but the input embedding once, and the sequences' keys and values.
double step_bytes(const models::ModelConfig& config, int64_t sequences, int64_t context) {
  const auto head = static_cast<double>(config.vocab_size * config.hidden_size);
  const double weights = static_cast<double>(config.num_parameters()) - (config.tied_embeddings ? 0.0 : head);
  const auto kv = static_cast<double>(2 * config.num_layers * config.num_kv_heads * config.head_dim);
  return 2.0 * (weights + kv * static_cast<double>(sequences * context));
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

void decode(const std::string& name, bool exact, const std::vector<std::string>& sizes) {
  const auto config = shape_of(name);
  const auto model =
      random_model(config, exact && kDevice.is_cpu() ? at::kFloat : at::kBFloat16);  // exact in fp32 only there
  const double bandwidth = copy_bandwidth();
  for (const auto& [context, sequences] : sizes_of(sizes, name == "tiny")) {
    const double step = step_seconds(*model, sequences, context, exact);
    print({{"bench", "decode"},
           {"model", name},
           {"exact", exact},
           {"sequences", sequences},
           {"context", context},
           {"step_ms", 1e3 * step},
           {"tokens_per_s", static_cast<double>(sequences) / step},
           {"copy_bandwidth_gb_s", bandwidth / 1e9},
           {"roofline_share", step_bytes(config, sequences, context) / bandwidth / step}});
  }
}

// 256 pairs whose lengths have a heavy tail: the stop ids' share of the vocabulary makes them geometric with a mean of
// 600 tokens, as far as random weights give nearly equal probabilities; cut at 3,072.
void rollout_of_pairs(const std::string& name) {
  const auto config = shape_of(name);
  const auto model = random_model(config);
  const bool tiny = name == "tiny";  // shows that the program works
  const int64_t pairs = tiny ? 8 : 256, mean = tiny ? 30 : 600;
  rollout::Engine engine(*model, engine_config(2 * pairs, false));
  std::vector<rollout::Request> requests = prompts(pairs, 128, config.vocab_size);
  std::vector<int64_t> stop_ids;
  for (int64_t id = 0; id < config.vocab_size; id += mean) stop_ids.push_back(id);
  for (auto& request : requests) request.num_samples = 2;
  const rollout::SamplingConfig sampling{.max_new_tokens = 5 * mean + 72, .stop_ids = stop_ids};
  engine.generate(requests, sampling, {1, 2});
  int64_t longest = 0;
  const double wall = seconds([&] {
    for (const auto& group : engine.generate(requests, sampling, {1, 3})) {
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

// Counts what a steady decode step on the CPU asks of the heap and of LibTorch's dispatcher (docs/performance.md, "A
// decode step on a CPU, counted"). In a steady step no sequence starts, ends or takes a page, and no list of ids grows.
//
//   grpo_decode_count            the counts of both shapes
//   grpo_decode_count --check    exit 1 where a count is above its bound; this is a test
//   grpo_decode_count --time [THREADS]   the time of a step by the number of sequences; with one thread the processor's
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sum.h>
#include <ATen/record_function.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "grpo/models/causal_lm.h"
#include "grpo/nn/product_path.h"
#include "grpo/rollout/engine.h"

namespace {

std::atomic<bool> counting = false;
std::atomic<int64_t> allocations = 0;

void count_allocation() {
  if (counting.load(std::memory_order_relaxed)) allocations.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

// The heap of this program, in place of the C library's functions, which these call: operator new and LibTorch's
// allocator end here, too.
extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* memory, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);

void* malloc(size_t bytes) {
  count_allocation();
  return __libc_malloc(bytes);
}
void* calloc(size_t count, size_t bytes) {
  count_allocation();
  return __libc_calloc(count, bytes);
}
void* realloc(void* memory, size_t bytes) {
  count_allocation();
  return __libc_realloc(memory, bytes);
}
void* memalign(size_t alignment, size_t bytes) {
  count_allocation();
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
  count_allocation();
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** memory, size_t alignment, size_t bytes) {
  count_allocation();
  *memory = __libc_memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}
}

namespace {

using namespace grpo;

constexpr int64_t kMostAllocations = 8;  // of a step: the drawn ids and their log-probs, which the caller keeps
constexpr int64_t kMostOperators = 2;    // their memory
constexpr int64_t kPageSize = 64;
constexpr int64_t kPromptTokens = 4;
constexpr int64_t kNewTokens = 56;  // a sequence stays in its first page

models::ModelConfig embedded() {
  models::ModelConfig config;
  config.model_type = "qwen2";
  config.vocab_size = 17;
  config.hidden_size = 96;
  config.intermediate_size = 192;
  config.num_layers = 3;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 24;
  config.max_positions = 64;
  config.qkv_bias = true;
  config.tied_embeddings = true;
  return config;
}

models::ModelConfig smollm2() {
  models::ModelConfig config;
  config.model_type = "llama";
  config.vocab_size = 49152;
  config.hidden_size = 576;
  config.intermediate_size = 1536;
  config.num_layers = 30;
  config.num_heads = 9;
  config.num_kv_heads = 3;
  config.head_dim = 64;
  config.max_positions = 8192;
  config.tied_embeddings = true;
  return config;
}

// A number of sequences under way, all past their prompts.
class Rollout {
 public:
  Rollout(const models::CausalLM& model, int64_t sequences)
      : engine_(model, {.page_size = kPageSize, .max_sequences = sequences}),
        session_(engine_.begin({.longest = kPromptTokens + kNewTokens, .sequences = sequences},
                               {.max_new_tokens = kNewTokens, .ignore_eos = true}, {1, 2})) {
    for (int64_t s = 0; s < sequences; ++s)
      session_->submit({.prompt_ids = {1, 2, 3, 4 + s % 8}, .draw = static_cast<uint64_t>(s)});
    for (int i = 0; i < 3; ++i) step();
  }
  void step() { session_->advance(); }

 private:
  rollout::Engine engine_;
  std::unique_ptr<rollout::Session> session_;
};

std::map<std::string, int64_t> operators;

std::unique_ptr<at::ObserverContext> count_operator(const at::RecordFunction& function) {
  if (!counting) return nullptr;
  counting = false;
  ++operators[function.name()];
  counting = true;
  return nullptr;
}

struct Counts {
  int64_t allocations = 0;
  std::map<std::string, int64_t> operators;
  int64_t dispatched() const {
    int64_t all = 0;
    for (const auto& [name, count] : operators) all += count;
    return all;
  }
};

// The step with the fewest allocations: in others lists grow, which happens ever more rarely.
Counts count_step(models::ModelConfig config, int64_t layers, at::ScalarType dtype, int64_t sequences) {
  config.num_layers = layers;
  const auto model = models::CausalLM::init(config, 1, dtype, at::kCPU);
  Rollout rollout(*model, sequences);
  Counts least{.allocations = INT64_MAX, .operators = {}};
  for (int i = 0; i < 16; ++i) {
    operators.clear();
    allocations = 0;
    counting = true;
    rollout.step();
    counting = false;
    if (allocations < least.allocations) least = {allocations, operators};
  }
  return least;
}

double seconds_now() {
  timespec time{};
  clock_gettime(at::get_num_threads() == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Case {
  const char* name;
  models::ModelConfig config;
  at::ScalarType dtype;
};

std::vector<Case> cases() {
  return {{"embedded model, fp32", embedded(), at::kFloat},
          {"SmolLM2-135M's shape, fp32", smollm2(), at::kFloat},
          {"SmolLM2-135M's shape, bf16", smollm2(), at::kBFloat16}};
}

// Prints the counts, and returns whether our own products keep within the bound: nothing a layer, and a step only what
// holds the drawn ids. oneDNN's products allocate by themselves.
bool print_counts(const Case& c, int64_t sequences) {
  const auto two = count_step(c.config, 2, c.dtype, sequences), three = count_step(c.config, 3, c.dtype, sequences);
  const auto layer = [](int64_t a, int64_t b) { return b - a; };
  std::printf(
      "%s, %ld sequences: allocations %ld a layer and %ld; operators %ld a layer and %ld\n", c.name, sequences,
      layer(two.allocations, three.allocations), two.allocations - 2 * layer(two.allocations, three.allocations),
      layer(two.dispatched(), three.dispatched()), two.dispatched() - 2 * layer(two.dispatched(), three.dispatched()));
  for (const auto& [name, count] : three.operators) {
    const auto before = two.operators.contains(name) ? two.operators.at(name) : 0;
    std::printf("    %-32s %ld a layer and %ld\n", name.c_str(), count - before, before - 2 * (count - before));
  }
  return nn::packed_path(c.dtype) != nn::ProductPath::kOwn ||
         (two.allocations <= kMostAllocations && three.allocations <= kMostAllocations &&
          two.dispatched() <= kMostOperators && three.dispatched() <= kMostOperators);
}

// Bytes that a step reads: every weight once.
double weight_bytes(const models::CausalLM& model) {
  double bytes = 0.0;
  for (const auto& [name, tensor] : model.parameters()) bytes += static_cast<double>(tensor.nbytes());
  return bytes;
}

// What this many threads read from memory at best, in bytes a second.
double read_rate() {
  const auto memory = at::ones({int64_t{64} << 20}, at::kFloat);
  std::vector<double> seconds;
  for (int i = 0; i < 5; ++i) {
    const double start = seconds_now();
    memory.sum();
    seconds.push_back(seconds_now() - start);
  }
  return static_cast<double>(memory.nbytes()) / median(seconds);
}

void print_times(const Case& c) {
  const auto model = models::CausalLM::init(c.config, 1, c.dtype, at::kCPU);
  const int rounds = c.config.hidden_size < 200 ? 20 : 1;
  for (const int64_t sequences : {1, 2, 4, 8, 16, 32}) {
    std::vector<double> seconds;
    for (int round = 0; round < rounds; ++round) {
      Rollout rollout(*model, sequences);
      for (int i = 0; i < 24; ++i) {
        const double start = seconds_now();
        rollout.step();
        seconds.push_back(seconds_now() - start);
      }
    }
    const double step = median(seconds);
    std::printf("%-28s %2ld sequences: %9.1f us a step, %8.0f tokens/s, %5.1f GB/s of weights\n", c.name, sequences,
                1e6 * step, static_cast<double>(sequences) / step, weight_bytes(*model) / step / 1e9);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  at::set_num_threads(1);
  at::addGlobalCallback(
      at::RecordFunctionCallback(count_operator).needsInputs(false).scopes({at::RecordScope::FUNCTION}));
  if (what == "--time") {
    at::clearCallbacks();
    at::set_num_threads(argc > 2 ? std::atoi(argv[2]) : 1);
    std::printf("%d threads read %.1f GB/s\n", at::get_num_threads(), read_rate() / 1e9);
    for (const auto& c : cases()) print_times(c);
    return 0;
  }
  std::printf("%s products in fp32, %s in bf16\n", nn::describe_product_paths(at::kFloat).c_str(),
              nn::describe_product_paths(at::kBFloat16).c_str());
  bool within = true;
  for (const auto& c : cases()) {
    for (const int64_t sequences : {1, 32}) within = print_counts(c, sequences) && within;
  }
  if (!within) std::printf("more than %ld allocations or %ld operators\n", kMostAllocations, kMostOperators);
  return what == "--check" && !within ? 1 : 0;
}

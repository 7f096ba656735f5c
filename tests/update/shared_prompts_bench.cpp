// What sharing prompts saves in the gradient of one batch, and where it begins to pay; it is not a test. Each pair of
// measurements is made in turns, in processor time of this process. docs/benchmarks/cpu.md has results.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "grpo/base/random.h"
#include "grpo/dist/communicator.h"
#include "grpo/update/update.h"
#include "support/gpu_bench.h"
#include "update/families.h"

namespace {

using namespace grpo;
using update::SharePrompts;

update::Batch batch_of(int64_t prompts, int64_t group_size, int64_t prompt, int64_t completion, int64_t vocabulary) {
  const base::RandomKey key{1, base::stream_id("shared prompts bench")};
  uint64_t stream = 0;
  const auto ids = [&](int64_t count) {
    std::vector<int64_t> drawn;
    for (int64_t t = 0; t < count; ++t)
      drawn.push_back(static_cast<int64_t>(
          base::uniform_below(key, stream, static_cast<uint32_t>(t), static_cast<uint64_t>(vocabulary))));
    ++stream;
    return drawn;
  };
  update::Batch batch{.sequences = {}, .scale = 1.0 / static_cast<double>(prompts * group_size * completion)};
  for (int64_t q = 0; q < prompts; ++q) {
    const auto text = ids(prompt);
    for (int64_t g = 0; g < group_size; ++g) {
      // Lengths between a half and three halves of `completion`, as those of a group differ.
      const int64_t length = std::max<int64_t>(completion / 2 + completion * g / group_size, 1);
      batch.sequences.push_back(update::sequence_of(text, ids(length)));
      batch.sequences.back().advantages = {g % 2 == 0 ? -1.0f : 1.0f};
    }
  }
  return batch;
}

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) {
    std::fprintf(stderr,
                 "usage: grpo_shared_prompts_bench SHAPE bf16|fp32 PROMPTS GROUP_SIZE PROMPT_TOKENS COMPLETION_TOKENS "
                 "ROUNDS\nSHAPE: tiny, smollm2-135m, 1.5b or a model folder. On one CPU thread.\n");
    return 2;
  }
  testing::kDevice = at::Device(at::kCPU);
  at::set_num_threads(1);
  const std::string shape = argv[1];
  const auto dtype = std::string(argv[2]) == "bf16" ? at::kBFloat16 : at::kFloat;
  const auto number = [&](int i) { return static_cast<int64_t>(std::stoll(argv[i])); };
  const auto model = shape.find('/') != std::string::npos ? models::CausalLM::load(shape, dtype, at::kCPU)
                                                          : testing::random_model(testing::shape_of(shape), dtype);
  const auto batch = batch_of(number(3), number(4), number(5), number(6), model->config().vocab_size);
  const auto communicator = dist::make_communicator({.backend = dist::Backend::kSingle});
  optim::Optimizer optimizer(model->parameters(), {});
  update::TokenBudget budget(2048);
  update::Learner learner{.model = *model,
                          .reference = nullptr,
                          .optimizer = optimizer,
                          .communicator = *communicator,
                          .budget = budget,
                          .objective = {},
                          .total_updates = 1};
  std::vector<size_t> all(batch.sequences.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = i;
  std::vector<double> seconds[2];
  for (int64_t round = 0; round <= number(7); ++round) {  // the first one warms up
    for (const auto share : {SharePrompts::kFalse, SharePrompts::kTrue}) {
      learner.share_prompts = share;
      const double start = processor_seconds();
      update::accumulate_gradient(learner, {.name = "bench"}, batch);
      if (round > 0) seconds[share == SharePrompts::kTrue ? 1 : 0].push_back(processor_seconds() - start);
      optimizer.zero_grad();
    }
  }
  std::vector<double> ratios;
  for (size_t i = 0; i < seconds[0].size(); ++i) ratios.push_back(seconds[0][i] / seconds[1][i]);
  const int64_t alone = update::tokens_of(batch.sequences, all, SharePrompts::kFalse);
  testing::print({{"bench", "shared prompts"},
                  {"model", shape},
                  {"dtype", argv[2]},
                  {"prompts", number(3)},
                  {"group_size", number(4)},
                  {"prompt_tokens", number(5)},
                  {"completion_tokens", number(6)},
                  {"tokens_alone", alone},
                  {"tokens_shared", update::tokens_of(batch.sequences, all, SharePrompts::kTrue)},
                  {"auto_shares", update::tokens_of(batch.sequences, all, SharePrompts::kAuto) < alone},
                  {"alone_cpu_s", median(seconds[0])},
                  {"shared_cpu_s", median(seconds[1])},
                  {"ratio", median(ratios)},
                  {"ratio_least", *std::min_element(ratios.begin(), ratios.end())},
                  {"ratio_most", *std::max_element(ratios.begin(), ratios.end())}});
  return 0;
}

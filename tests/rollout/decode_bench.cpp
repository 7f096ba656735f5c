// Measures sampling and the gradient on the CPU; not a test. Each line of standard input, "decode N NEW" or
// "gradient N LENGTH", runs it once and prints one line of JSON; scripts/bench_cpu.py alternates these with another
// program's.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <sys/resource.h>

#include <chrono>
#include <iostream>
#include <sstream>
#include <string>

#include "grpo/models/device.h"
#include "grpo/nn/lm_head.h"
#include "grpo/rollout/engine.h"

namespace {

using namespace grpo;

constexpr int64_t kPromptTokens = 64;

// The same ids for every program: a linear congruence of (row, column).
int64_t id_at(int64_t row, int64_t column, int64_t vocab_size) {
  return 100 + (row * 7919 + column * 104729) % (vocab_size - 100);
}

std::vector<std::vector<int64_t>> rows_of(int64_t count, int64_t length, int64_t vocab_size) {
  std::vector<std::vector<int64_t>> rows(static_cast<size_t>(count));
  for (int64_t r = 0; r < count; ++r) {
    for (int64_t c = 0; c < length; ++c) rows[static_cast<size_t>(r)].push_back(id_at(r, c, vocab_size));
  }
  return rows;
}

// Every prompt is of its own, so that nothing is shared that the other program cannot share; returns tokens.
int64_t decode(const models::CausalLM& model, int64_t sequences, int64_t new_tokens) {
  std::vector<rollout::Request> requests;
  for (auto& ids : rows_of(sequences, kPromptTokens, model.config().vocab_size)) {
    requests.push_back({.prompt_ids = std::move(ids), .draw = requests.size()});
  }
  static rollout::Engine engine(model, {});
  engine.generate(requests, {.max_new_tokens = new_tokens, .ignore_eos = true}, {1, 2});
  return engine.stats().completion_tokens;
}

// Forward and backward of the log-probabilities of the last two thirds of every row; returns tokens.
int64_t gradient(const models::CausalLM& model, int64_t sequences, int64_t length) {
  const auto rows = rows_of(sequences, length, model.config().vocab_size);
  const auto batch = nn::PackedBatch::pack(rows);
  std::vector<int64_t> places, targets;
  for (int64_t s = 0; s < sequences; ++s) {
    for (int64_t t = length / 3; t < length; ++t) {
      places.push_back(s * length + t - 1);
      targets.push_back(rows[static_cast<size_t>(s)][static_cast<size_t>(t)]);
    }
  }
  const auto hidden = model.hidden_states(batch).index_select(0, at::tensor(places, at::kLong));
  nn::token_log_probs(hidden, model.head_weight(), at::tensor(targets, at::kLong), {}).log_probs.mean().backward();
  for (const auto& [name, tensor] : model.parameters()) tensor.mutable_grad().reset();
  return batch.num_tokens();
}

double peak_rss_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: grpo_decode_bench MODEL float32|bfloat16 THREADS < commands\n";
    return 2;
  }
  at::set_num_threads(std::stoi(argv[3]));
  const auto model =
      models::CausalLM::load(argv[1], std::string(argv[2]) == "bfloat16" ? at::kBFloat16 : at::kFloat, at::kCPU);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string what;
    int64_t sequences = 0, tokens = 0;
    words >> what >> sequences >> tokens;
    const auto start = std::chrono::steady_clock::now();
    const int64_t done = what == "gradient" ? gradient(*model, sequences, tokens) : decode(*model, sequences, tokens);
    const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::cout << R"({"wall_s": )" << wall << R"(, "tokens": )" << done << R"(, "peak_rss_mb": )" << peak_rss_mb() << "}"
              << std::endl;
  }
  return 0;
}

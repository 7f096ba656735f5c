// Measures sampling and the gradient on the CPU; not a test. Each line of standard input is a command that is run once
// and answered with one line of JSON; scripts/bench_cpu.py alternates these with other programs'.
//   decode N NEW       N completions of NEW tokens. first_s: until the prompts and one decode step are done
//   gradient N LENGTH  forward and backward of N rows of LENGTH tokens
//   answer NEW ID ...  the NEW likeliest tokens after a prompt, one after the other
//   limits             operations a second of a large product in this dtype, and bytes a second read from memory
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <sstream>
#include <string>

#include "grpo/models/device.h"
#include "grpo/nn/lm_head.h"
#include "grpo/nn/prepacked_linear.h"
#include "grpo/rollout/engine.h"

namespace {

using namespace grpo;

constexpr int64_t kPromptTokens = 64;

// The same ids for every program: a linear congruence of (row, column), from 100 on, where there are so many.
int64_t id_at(int64_t row, int64_t column, int64_t vocab_size) {
  const int64_t first = vocab_size > 200 ? 100 : 0;
  return first + (row * 7919 + column * 104729) % (vocab_size - first);
}

std::vector<std::vector<int64_t>> rows_of(int64_t count, int64_t length, int64_t vocab_size) {
  std::vector<std::vector<int64_t>> rows(static_cast<size_t>(count));
  for (int64_t r = 0; r < count; ++r) {
    for (int64_t c = 0; c < length; ++c) rows[static_cast<size_t>(r)].push_back(id_at(r, c, vocab_size));
  }
  return rows;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

rollout::Engine& engine_of(const models::CausalLM& model) {
  static rollout::Engine engine(model, {});
  return engine;
}

// Every prompt is of its own, so that nothing is shared that the other programs cannot share.
std::string decode(const models::CausalLM& model, int64_t sequences, int64_t new_tokens) {
  std::vector<rollout::Request> requests;
  for (auto& ids : rows_of(sequences, kPromptTokens, model.config().vocab_size)) {
    requests.push_back({.prompt_ids = std::move(ids), .draw = requests.size()});
  }
  auto& engine = engine_of(model);
  const auto start = std::chrono::steady_clock::now();
  // The engine asks before every step, so the second question comes after the first step.
  int64_t steps = 0;
  double first = 0.0;
  const auto after_first_step = [&] {
    if (++steps == 2) first = seconds_since(start);
    return false;
  };
  const auto groups =
      engine.generate(requests, {.max_new_tokens = new_tokens, .ignore_eos = true}, {1, 2}, {}, after_first_step);
  int64_t tokens = 0;
  for (const auto& group : groups) tokens += static_cast<int64_t>(group.completions.at(0).ids.size());
  std::ostringstream out;
  out << R"("tokens": )" << tokens << R"(, "first_s": )" << first << R"(, "decode_steps": )"
      << engine.stats().decode_steps;
  return out.str();
}

std::string answer(const models::CausalLM& model, std::istringstream& words) {
  int64_t new_tokens = 0, id = 0;
  words >> new_tokens;
  rollout::Request request{.prompt_ids = {}, .greedy = true};
  while (words >> id) request.prompt_ids.push_back(id);
  const auto groups = engine_of(model).generate({request}, {.max_new_tokens = new_tokens, .ignore_eos = true}, {1, 2});
  std::ostringstream out;
  for (const int64_t token : groups.at(0).completions.at(0).ids) out << (out.str().empty() ? "" : ", ") << token;
  return R"("ids": [)" + out.str() + "]";
}

// Forward and backward of the mean log-probability of the last two thirds of every row, as an update computes a loss.
std::string gradient(const models::CausalLM& model, int64_t sequences, int64_t length) {
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
  const auto share = [&](int64_t, const at::Tensor& log_probs, const at::Tensor&) {
    return log_probs.sum() / static_cast<double>(targets.size());
  };
  nn::head_loss(hidden, model.head_weight(), at::tensor(targets, at::kLong), {}, share).loss.backward();
  for (const auto& [name, tensor] : model.parameters()) tensor.mutable_grad().reset();
  return R"("tokens": )" + std::to_string(batch.num_tokens());
}

double best_seconds(int repetitions, const std::function<void()>& work) {
  double best = 1e300;
  for (int i = 0; i < repetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    best = std::min(best, seconds_since(start));
  }
  return best;
}

std::string limits(at::ScalarType dtype) {
  constexpr int64_t kSize = 2048, kFloats = int64_t{128} << 20;
  const at::NoGradGuard no_grad;
  const auto left = at::ones({kSize, kSize}, dtype), right = at::ones({kSize, kSize}, dtype);
  const auto memory = at::ones({kFloats}, at::kFloat);
  // x Wᵀ, as a model multiplies: by LibTorch (in bf16 without AVX-512 it is ten times slower the other way round) and
  // with packed weights.
  const auto packed = nn::prepack_linear(right);
  const double product = std::min(best_seconds(2, [&] { at::mm(left, right.t()); }),
                                  best_seconds(3, [&] { nn::prepacked_linear(left, packed, {}); }));
  const double read = best_seconds(5, [&] { memory.sum(); });
  std::ostringstream out;
  out << R"("flops": )" << 2.0 * kSize * kSize * kSize / product << R"(, "bytes": )" << 4.0 * kFloats / read;
  return out.str();
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
    std::string what, result;
    int64_t sequences = 0, tokens = 0;
    words >> what;
    if (what == "decode" || what == "gradient") words >> sequences >> tokens;
    const auto start = std::chrono::steady_clock::now();
    if (what == "decode") {
      result = decode(*model, sequences, tokens);
    } else if (what == "gradient") {
      result = gradient(*model, sequences, tokens);
    } else if (what == "answer") {
      result = answer(*model, words);
    } else if (what == "limits") {
      result = limits(model->dtype());
    } else {
      std::cerr << line << ": decode N NEW, gradient N LENGTH, answer NEW ID ... or limits\n";
      return 2;
    }
    const double wall = seconds_since(start);
    std::cout << R"({"wall_s": )" << wall << ", " << result << R"(, "peak_rss_mb": )" << peak_rss_mb() << "}"
              << std::endl;
  }
  return 0;
}

// Measures matrix products on the CPU: our own against oneDNN's, with prepacked weights in the shapes of a decode step,
// or against LibTorch's own loops for bf16 without AVX-512, which oneDNN refuses; not a test. They take turns in one
// run, and each line has the medians.
//
//   GRPO_MAX_CPU_ISA=avx2 grpo_product_bench [THREADS [REPETITIONS]]
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "grpo/kernels/product.h"
#include "nn/onednn.h"

namespace {

using namespace grpo;

// A decode step reads every weight once, so that none is in a cache when it is read again: the shapes are measured with
// as many copies as fill this.
constexpr int64_t kBytes = int64_t{192} << 20;

using Work = std::function<void(size_t copy)>;

// With one thread the time of the processor, so that other programs on the machine matter less.
double now() {
  timespec time{};
  clock_gettime(at::get_num_threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double seconds(const Work& work, size_t copy) {
  const double start = now();
  work(copy);
  return now() - start;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

void compare(const std::string& what, int64_t m, int64_t k, int64_t n, const Work& ours, const Work& theirs,
             size_t copies, int repetitions) {
  std::vector<double> ours_s, theirs_s;
  const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(k) * static_cast<double>(n);
  const int times = repetitions * static_cast<int>(std::clamp(2e9 / flops, 1.0, 40.0));
  for (int i = -2; i < times; ++i) {
    const auto copy = static_cast<size_t>(i + 2) % copies;
    const double a = seconds(ours, copy), b = seconds(theirs, copy);
    if (i < 0) continue;
    ours_s.push_back(a);
    theirs_s.push_back(b);
  }
  const double a = median(ours_s), b = median(theirs_s);
  std::printf("%-22s %6ld x %5ld x %5ld  ours %7.1f GFLOP/s  theirs %7.1f  ratio %5.2f\n", what.c_str(), m, k, n,
              flops / a / 1e9, flops / b / 1e9, b / a);
  std::fflush(stdout);
}

std::vector<at::Tensor> weights(int64_t n, int64_t k, at::ScalarType dtype) {
  const int64_t copies = std::max<int64_t>(1, kBytes / (n * k * static_cast<int64_t>(at::elementSize(dtype))));
  return std::vector<at::Tensor>(static_cast<size_t>(copies), at::randn({n, k}).to(dtype));
}

bool in_onednn(at::ScalarType dtype) {
  return dtype == at::kFloat || std::string_view(kernels::cpu_instruction_set()).starts_with("avx512");
}

// On a CPU without AVX-512 LibTorch does not give bf16 to oneDNN; one with AVX-512 has to be told.
at::Tensor plain(const at::Tensor& a, const at::Tensor& b) {
  at::globalContext().setUserEnabledMkldnn(false);
  auto result = at::mm(a, b);
  at::globalContext().setUserEnabledMkldnn(true);
  return result;
}

std::string title(const char* what, at::ScalarType dtype) {
  return std::string(dtype == at::kFloat ? "fp32 " : "bf16 ") + what + (in_onednn(dtype) ? ", oneDNN" : ", LibTorch");
}

void decode(int64_t k, int64_t n, at::ScalarType dtype, int repetitions) {
  std::vector<kernels::PackedMatrix> packed;
  std::vector<at::Tensor> reordered;
  const auto plain_weights = weights(n, k, dtype);
  for (const auto& weight : plain_weights) {
    packed.push_back(kernels::pack_matrix(weight.t()));
    if (in_onednn(dtype)) reordered.push_back(nn::onednn::reorder_weight(weight, 32));
  }
  for (const int64_t m : {1, 4, 8, 16, 32, 64, 128, 256}) {
    const auto x = at::randn({m, k}).to(dtype);
    const Work ours = [&](size_t copy) { kernels::product(x, packed[copy]); };
    const Work theirs = [&](size_t copy) {
      in_onednn(dtype) ? nn::onednn::linear(x, reordered[copy], std::nullopt) : plain(x, plain_weights[copy].t());
    };
    compare(title("packed", dtype), m, k, n, ours, theirs, packed.size(), repetitions);
  }
}

void update(const char* what, const at::Tensor& a, const at::Tensor& b, int repetitions) {
  const Work ours = [&](size_t) { kernels::product(a, b); };
  const Work theirs = [&](size_t) {
    if (a.scalar_type() == at::kFloat) {
      nn::onednn::linear(a, b.t(), std::nullopt);
    } else {
      in_onednn(a.scalar_type()) ? at::mm(a, b) : plain(a, b);
    }
  };
  compare(title(what, a.scalar_type()), a.size(0), a.size(1), b.size(1), ours, theirs, 1, repetitions);
}

}  // namespace

int main(int argc, char** argv) {
  const at::NoGradGuard no_grad;
  if (argc > 1) at::set_num_threads(std::atoi(argv[1]));
  const int repetitions = argc > 2 ? std::atoi(argv[2]) : 5;
  std::printf("%s, %d threads\n", kernels::cpu_instruction_set(), at::get_num_threads());
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    decode(576, 576, dtype, repetitions);
    decode(576, 1536, dtype, repetitions);
    decode(1536, 576, dtype, repetitions);
    decode(576, 49152, dtype, repetitions);
    constexpr int64_t kTokens = 1024, kHidden = 576, kWide = 3072, kVocabulary = 49152, kChunk = 512;
    const auto random = [&](int64_t rows, int64_t columns) { return at::randn({rows, columns}).to(dtype); };
    const auto x = random(kTokens, kHidden), grad = random(kTokens, kWide), weight = random(kWide, kHidden);
    update("x W^T", x, weight.t(), repetitions);
    update("g W", grad, weight, repetitions);
    update("g^T x", grad.t(), x, repetitions);
    const auto hidden = random(kChunk, kHidden), logits = random(kChunk, kVocabulary);
    const auto head = random(kVocabulary, kHidden);
    update("x W^T", hidden, head.t(), repetitions);
    update("g W", logits, head, repetitions);
    update("g^T x", logits.t(), hidden, repetitions);
  }
  return 0;
}

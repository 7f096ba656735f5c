// Counts what one micro-batch of an update gives a device: launches, bytes and operations; not a test
// (docs/performance.md, "An update, counted"). It runs on the CPU, with small batches of a model of one and of two
// layers whose matrices have their real sizes: all counts but attention's are linear in layers and in tokens, so four
// runs give those of any model and batch.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "grpo/algo/policy_loss.h"
#include "grpo/kernels/head.h"
#include "grpo/kernels/rowwise.h"
#include "grpo/nn/attention.h"
#include "grpo/nn/lm_head.h"
#include "grpo/optim/optimizer.h"
#include "nn/product.h"
#include "support/gpu_bench.h"

namespace {

using namespace grpo;

struct Count {
  double launches = 0.0, bytes = 0.0, operations = 0.0;
};
using Counts = std::map<std::string, Count>;

Counts counts;
bool counting = false;

double bytes_of(const at::Tensor& x) { return x.defined() ? static_cast<double>(x.numel() * x.element_size()) : 0.0; }

void count(const std::string& what, double launches, double bytes, double operations = 0.0) {
  if (!counting) return;
  Count& all = counts[what];
  all.launches += launches;
  all.bytes += bytes;
  all.operations += operations;
}

// ---- LibTorch's operators: each of these is one kernel on a device, or one memset.

const std::set<std::string> kOneLaunch = {"aten::add",
                                          "aten::add_",
                                          "aten::sub",
                                          "aten::sub_",
                                          "aten::mul",
                                          "aten::mul_",
                                          "aten::div",
                                          "aten::div_",
                                          "aten::neg",
                                          "aten::neg_",
                                          "aten::exp",
                                          "aten::exp_",
                                          "aten::copy_",
                                          "aten::cat",
                                          "aten::index_select",
                                          "aten::sum",
                                          "aten::fill_",
                                          "aten::zero_",
                                          "aten::clamp",
                                          "aten::minimum",
                                          "aten::maximum",
                                          "aten::max",
                                          "aten::min",
                                          "aten::where",
                                          "aten::gt",
                                          "aten::lt",
                                          "aten::ge",
                                          "aten::le",
                                          "aten::eq",
                                          "aten::ne",
                                          "aten::gather",
                                          "aten::_log_softmax",
                                          "aten::scatter_add_",
                                          "aten::logical_and",
                                          "aten::logical_and_",
                                          "aten::scalar_tensor",
                                          "aten::logical_or",
                                          "aten::bitwise_and",
                                          "aten::bitwise_or",
                                          "aten::index_add_",
                                          "aten::embedding_dense_backward",
                                          "aten::masked_fill_",
                                          "aten::clamp_min",
                                          "aten::clamp_max",
                                          "aten::rsub",
                                          "aten::abs",
                                          "aten::any",
                                          "aten::all",
                                          "aten::isfinite",
                                          "aten::log",
                                          "aten::square",
                                          "aten::pow",
                                          "aten::sign",
                                          "aten::mm",
                                          "aten::amax",
                                          "aten::arange",
                                          "aten::clone"};

double bytes_of(const c10::IValue& value) { return value.isTensor() ? bytes_of(value.toTensor()) : 0.0; }

// Inputs are there when an operator starts, outputs when it ends. What an operator calls for itself is part of it.
struct Inputs : at::ObserverContext {
  double bytes = 0.0;
};
int inside = 0;

double bytes_read(const std::string& name, c10::ArrayRef<const c10::IValue> inputs) {
  double bytes = 0.0;
  for (const auto& value : inputs) {
    bytes += bytes_of(value);
    if (!value.isTensorList()) continue;
    for (const at::Tensor& x : value.toTensorVector()) bytes += bytes_of(x);
  }
  const bool overwrites = name == "aten::copy_" || name == "aten::fill_" || name == "aten::zero_";
  return overwrites && !inputs.empty() ? bytes - bytes_of(inputs[0]) : bytes;
}

std::unique_ptr<at::ObserverContext> start_of_operator(const at::RecordFunction& call) {
  const std::string name = call.name();
  if (!counting || inside > 0 || kOneLaunch.count(name) == 0) return nullptr;
  ++inside;
  auto inputs = std::make_unique<Inputs>();
  try {
    inputs->bytes = bytes_read(name, call.inputs());
  } catch (const c10::Error&) {  // LibTorch did not keep them
  }
  return inputs;
}

void end_of_operator(const at::RecordFunction& call, at::ObserverContext* context) {
  if (context == nullptr) return;
  --inside;
  const std::string name = call.name();
  double out = 0.0;
  for (const auto& value : call.outputs()) out += bytes_of(value);
  const double in = name == "aten::index_select" ? out : static_cast<Inputs*>(context)->bytes;  // of the rows it takes
  count(name, 1.0, in + out);
}

// What is done inside is not counted.
class Uncounted {
 public:
  Uncounted() : before_(std::exchange(counting, false)) {}
  ~Uncounted() { counting = before_; }

 private:
  bool before_;
};

}  // namespace

// ---- The project's own kernels and products: the linker sends calls of each function NAME to __wrap_NAME
// (CMakeLists.txt).

#define GRPO_WRAPPED(result, name, mangled, parameters) \
  extern "C" result __real_##mangled parameters;        \
  extern "C" result __wrap_##mangled parameters

using Pair = std::pair<at::Tensor, at::Tensor>;

GRPO_WRAPPED(at::Tensor, rms_norm, _ZN4grpo7kernels8rms_normERKN2at6TensorES4_d,
             (const at::Tensor& x, const at::Tensor& weight, double eps)) {
  count("rms_norm", 1, 2 * bytes_of(x));
  const Uncounted inside;
  return __real__ZN4grpo7kernels8rms_normERKN2at6TensorES4_d(x, weight, eps);
}
GRPO_WRAPPED(Pair, rms_norm_backward, _ZN4grpo7kernels17rms_norm_backwardERKN2at6TensorES4_S4_d,
             (const at::Tensor& grad, const at::Tensor& x, const at::Tensor& weight, double eps)) {
  const double partial = 4.0 * static_cast<double>(x.numel()) / 16.0;  // kNormBackwardRows
  count("rms_norm_backward", 1, 3 * bytes_of(x) + partial);
  count("sum of the weight's gradient", 2, partial);
  const Uncounted inside;
  return __real__ZN4grpo7kernels17rms_norm_backwardERKN2at6TensorES4_S4_d(grad, x, weight, eps);
}
GRPO_WRAPPED(at::Tensor, silu_mul, _ZN4grpo7kernels8silu_mulERKN2at6TensorES4_,
             (const at::Tensor& gate, const at::Tensor& up)) {
  count("silu_mul", 1, 3 * bytes_of(gate));
  const Uncounted inside;
  return __real__ZN4grpo7kernels8silu_mulERKN2at6TensorES4_(gate, up);
}
GRPO_WRAPPED(void, silu_mul_backward_, _ZN4grpo7kernels18silu_mul_backward_ERN2at6TensorERKS2_S3_,
             (at::Tensor & grad, const at::Tensor& gate_up, at::Tensor& grad_gate_up)) {
  count("silu_mul_backward", 1, 2 * bytes_of(grad) + 2 * bytes_of(gate_up));
  const Uncounted inside;
  __real__ZN4grpo7kernels18silu_mul_backward_ERN2at6TensorERKS2_S3_(grad, gate_up, grad_gate_up);
}
GRPO_WRAPPED(void, rope_into, _ZN4grpo7kernels9rope_intoERKN2at6TensorES4_S4_S4_RS2_,
             (const at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin,
              at::Tensor& out)) {
  count("rope", 1, 2 * bytes_of(x));
  const Uncounted inside;
  __real__ZN4grpo7kernels9rope_intoERKN2at6TensorES4_S4_S4_RS2_(x, positions, cos, sin, out);
}
GRPO_WRAPPED(kernels::HeadRows, head_rows, _ZN4grpo7kernels9head_rowsERKN2at6TensorES4_d,
             (const at::Tensor& logits, const at::Tensor& targets, double temperature)) {
  count("head_rows", 1, bytes_of(logits));
  const Uncounted inside;
  return __real__ZN4grpo7kernels9head_rowsERKN2at6TensorES4_d(logits, targets, temperature);
}
GRPO_WRAPPED(void, head_gradient_, _ZN4grpo7kernels14head_gradient_ERN2at6TensorERKS2_RKNS0_8HeadRowsEdS5_S5_,
             (at::Tensor & logits, const at::Tensor& targets, const kernels::HeadRows& rows, double temperature,
              const at::Tensor& g, const at::Tensor& h)) {
  count("head_gradient", 1, 2 * bytes_of(logits));
  const Uncounted inside;
  __real__ZN4grpo7kernels14head_gradient_ERN2at6TensorERKS2_RKNS0_8HeadRowsEdS5_S5_(logits, targets, rows, temperature,
                                                                                    g, h);
}

namespace {

void count_product(const at::Tensor& a, const at::Tensor& b, double out_bytes) {
  count("products", 1, bytes_of(a) + bytes_of(b) + out_bytes,
        2.0 * static_cast<double>(a.size(0) * a.size(1) * b.size(1)));
}

double out_bytes(const at::Tensor& a, const at::Tensor& b) {
  return static_cast<double>(a.size(0) * b.size(1) * a.element_size());
}

}  // namespace

GRPO_WRAPPED(at::Tensor, product, _ZN4grpo2nn7productERKN2at6TensorES4_S4_,
             (const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias)) {
  count_product(a, b, out_bytes(a, b));
  const Uncounted inside;
  return __real__ZN4grpo2nn7productERKN2at6TensorES4_S4_(a, b, bias);
}
GRPO_WRAPPED(void, product_into, _ZN4grpo2nn12product_intoEN2at6TensorERKS2_S4_,
             (at::Tensor out, const at::Tensor& a, const at::Tensor& b)) {
  count_product(a, b, out_bytes(a, b));
  const Uncounted inside;
  __real__ZN4grpo2nn12product_intoEN2at6TensorERKS2_S4_(std::move(out), a, b);
}
GRPO_WRAPPED(void, add_product, _ZN4grpo2nn11add_productERN2at6TensorERKS2_S5_,
             (at::Tensor & sum, const at::Tensor& a, const at::Tensor& b)) {
  count_product(a, b, 2 * bytes_of(sum));
  const Uncounted inside;
  __real__ZN4grpo2nn11add_productERN2at6TensorERKS2_S5_(sum, a, b);
}

namespace {

// Attention itself is neither run nor counted here: its operations are not linear in the tokens.
class NoAttention : public torch::autograd::Function<NoAttention> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v) {
    context->save_for_backward({q, k, v});
    return at::empty(q.sizes(), q.options());
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list&) {
    torch::autograd::variable_list grads;
    for (const auto& x : context->get_saved_variables()) grads.push_back(at::empty(x.sizes(), x.options()));
    return grads;
  }
};

}  // namespace

extern "C" at::Tensor __wrap__ZN4grpo2nn16packed_attentionERKN2at6TensorES4_S4_RKNS0_13AttentionPlanEd(
    const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const nn::AttentionPlan&, double) {
  return NoAttention::apply(q, k, v);
}

namespace {

constexpr int64_t kTokens = 32768, kChunks = 8;  // of auto_chunk_tokens(true)

// Forward, head with the objective's gradient, backward, and the sums over micro-batches.
Counts of_micro_batch(models::ModelConfig config, int64_t layers, int64_t tokens, models::Recompute recompute) {
  config.num_layers = layers;
  const auto model = testing::random_model(config);
  model->set_training_options({.recompute = recompute});
  optim::Optimizer optimizer(model->parameters(), optim::OptimizerConfig{});
  const std::vector<int64_t> ids(static_cast<size_t>(tokens), 7);
  const auto batch = nn::PackedBatch::pack({ids});
  const auto rows = at::arange(tokens), advantages = at::ones({tokens}), weights = at::ones({tokens});
  const auto run = [&] {
    const auto hidden = model->hidden_states(batch).index_select(0, rows);
    const auto loss = nn::head_loss(hidden, model->head_weight(), batch.ids, {.chunk_tokens = tokens / kChunks},
                                    [&](int64_t begin, const at::Tensor& log_probs, const at::Tensor&) {
                                      const int64_t size = log_probs.size(0);
                                      const auto policy =
                                          algo::policy_loss({}, {.log_probs = log_probs,
                                                                 .old_log_probs = log_probs.detach(),
                                                                 .advantages = advantages.narrow(0, begin, size),
                                                                 .rollout_offsets = {0, size}});
                                      return (policy.terms * weights.narrow(0, begin, size)).sum();
                                    });
    loss.loss.backward();
    optimizer.accumulate();
  };
  run();  // the sums are there afterwards, as in all micro-batches but the first
  counts.clear();
  counting = true;
  run();
  counting = false;
  return counts;
}

// a + b layers + c tokens + d layers tokens, from the four corners.
double at_size(const std::array<double, 4>& corners, double layers, double tokens, double small) {
  const double d = (corners[3] - corners[2] - corners[1] + corners[0]) / small;
  const double c = (corners[1] - corners[0]) / small - d, b = corners[2] - corners[0] - d * small;
  const double a = corners[0] - b - c * small - d * small;
  return a + b * layers + c * tokens + d * layers * tokens;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: grpo_update_count 1.5b|7b|smollm2-135m|tiny none|selective|full\n");
    return 2;
  }
  testing::kDevice = at::kCPU;
  const std::string kept = argv[2];
  const auto recompute = kept == "none"        ? models::Recompute::kNone
                         : kept == "selective" ? models::Recompute::kSelective
                                               : models::Recompute::kFull;
  at::addGlobalCallback(
      at::RecordFunctionCallback(start_of_operator, end_of_operator).needsInputs(true).needsOutputs(true));
  const auto config = testing::shape_of(argv[1]);
  constexpr int64_t kSmall = 64;
  std::array<Counts, 4> corners;  // (1, small), (1, 2 small), (2, small), (2, 2 small)
  for (size_t i = 0; i < 4; ++i)
    corners[i] =
        of_micro_batch(config, 1 + static_cast<int64_t>(i / 2), kSmall * (1 + static_cast<int64_t>(i % 2)), recompute);
  std::printf("%-34s %10s %12s %14s\n", "what", "launches", "gigabytes", "tera-operations");
  Count all;
  for (const auto& [name, unused] : corners[3]) {
    const auto of = [&](double Count::*field) {
      std::array<double, 4> values;
      for (size_t i = 0; i < 4; ++i) values[i] = corners[i][name].*field;
      return at_size(values, static_cast<double>(config.num_layers), static_cast<double>(kTokens),
                     static_cast<double>(kSmall));
    };
    const Count found{of(&Count::launches), of(&Count::bytes), of(&Count::operations)};
    std::printf("%-34s %10.0f %12.2f %14.2f\n", name.c_str(), found.launches, found.bytes / 1e9,
                found.operations / 1e12);
    all.launches += found.launches;
    all.bytes += found.bytes;
    all.operations += found.operations;
  }
  std::printf("%-34s %10.0f %12.2f %14.2f\n", "all but attention", all.launches, all.bytes / 1e9,
              all.operations / 1e12);
  return 0;
}

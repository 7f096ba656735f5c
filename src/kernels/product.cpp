#include "grpo/kernels/product.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <type_traits>
#include <vector>

#include "grpo/base/error.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/dense_rows.h"
#include "kernels/parallel.h"

namespace grpo::kernels {
namespace {

using cpu::BFloat16;
using cpu::kProductRows;

constexpr int64_t kPartNumbers = int64_t{4} << 20;  // of a matrix that is packed or copied at a time
constexpr int64_t kKeptNumbers = int64_t{1} << 18;  // of rows that were copied
constexpr int64_t kPartOfK = 4096;                  // sums over more are made in parts, so that such parts have rows
constexpr int64_t kFewRows = 8;                     // fewer rows cost as much as these: weights are read from memory
constexpr int64_t kRowsOfAnItem = 32;               // when a matrix is copied

int64_t divided(int64_t a, int64_t b) { return (a + b - 1) / b; }

void run(const cpu::ProductTask<float, float>& task) { cpu::functions().product_f32(task); }
void run(const cpu::ProductTask<BFloat16, BFloat16>& task) { cpu::functions().product_bf16(task); }
void run(const cpu::ProductTask<BFloat16, float>& task) { cpu::functions().product_bf16_f32(task); }
void pack(const cpu::MatrixPart<float>& m, float* panels) { cpu::functions().pack_panels_f32(m, panels); }
void pack(const cpu::MatrixPart<BFloat16>& m, BFloat16* panels) { cpu::functions().pack_panels_bf16(m, panels); }
void copy(const cpu::MatrixPart<float>& m, float* out, int64_t s) { cpu::functions().copy_rows_f32(m, out, s); }
void copy(const cpu::MatrixPart<BFloat16>& m, float* out, int64_t s) { cpu::functions().copy_rows_bf16(m, out, s); }

// Numbers of k in a step of a panel (dispatch.h), and k filled up to whole ones.
template <typename T>
int64_t step_of() {
  return std::is_same_v<T, BFloat16> ? cpu::functions().bf16_step : 1;
}

template <typename T>
int64_t filled(int64_t k) {
  return divided(k, step_of<T>()) * step_of<T>();
}

// The matrix itself where rows or columns lie densely, otherwise a copy.
at::Tensor with_a_dense_side(const at::Tensor& x) { return x.stride(0) == 1 || x.stride(1) == 1 ? x : x.contiguous(); }

template <typename T>
cpu::MatrixPart<T> part_of(const at::Tensor& x, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  return {const_data<T>(x) + row * x.stride(0) + column * x.stride(1), x.stride(0), x.stride(1), rows, columns};
}

// Rows as products read them (cpu::Functions::copy_rows_f32).
struct Rows {
  const float* data;
  int64_t stride, count;
};

// Columns of the result and where they go.
template <typename T, typename Out>
struct Target {
  Out* out;
  int64_t stride;
  const T* bias;
  bool add;
};

// Blocks of rows times ranges of panels, divided among the threads.
template <typename T, typename Out>
void multiply(const Rows& a, int64_t k, const T* panels, int64_t columns, const Target<T, Out>& target) {
  const int64_t width = cpu::functions().panel_width, all = divided(columns, width);
  if (a.count == 0 || columns == 0) return;
  const int64_t blocks = divided(a.count, kProductRows), block = divided(a.count, blocks);
  const int64_t ranges = std::clamp<int64_t>(divided(4 * at::get_num_threads(), blocks), 1, divided(all, 4));
  const int64_t range = divided(all, ranges);
  const int64_t cost = std::max(a.count, kFewRows) * columns * k;
  share_items(blocks * ranges, cost, [&](const auto& next) {
    thread_local std::vector<float> scratch(cpu::kProductScratch);
    for (int64_t item = next(); item >= 0; item = next()) {
      const int64_t row = item % blocks * block, panel = item / blocks * range, column = panel * width;
      if (row >= a.count || panel >= all) continue;
      run(cpu::ProductTask<T, Out>{.a = a.data + row * a.stride,
                                   .a_stride = a.stride,
                                   .rows = std::min(block, a.count - row),
                                   .k = k,
                                   .panels = panels + panel * filled<T>(k) * width,
                                   .columns = std::min(range * width, columns - column),
                                   .bias = target.bias == nullptr ? nullptr : target.bias + column,
                                   .out = target.out + row * target.stride + column,
                                   .out_stride = target.stride,
                                   .add = target.add,
                                   .scratch = scratch.data()});
    }
  });
}

// Whether products can read the rows as they lie.
bool are_rows(const cpu::MatrixPart<float>& a) { return a.column_stride == 1; }
bool are_rows(const cpu::MatrixPart<BFloat16>& a) {
  return cpu::functions().bf16_step == 2 && a.column_stride == 1 && a.row_stride % 2 == 0 && a.columns % 2 == 0;
}

// Calls f(first row, rows) for a part of `a` at a time: its numbers [k_begin, k_begin + k).
template <typename T, typename F>
void for_rows(const at::Tensor& a, int64_t k_begin, int64_t k, F&& f) {
  const int64_t all = a.size(0), step = step_of<T>();
  const auto whole = part_of<T>(a, 0, all, k_begin, k);
  if (are_rows(whole))
    return f(int64_t{0}, Rows{reinterpret_cast<const float*>(whole.data), whole.row_stride / step, all});
  const int64_t stride = divided(divided(k, step), 16) * 16;
  const int64_t most = std::clamp<int64_t>(kPartNumbers / std::max<int64_t>(stride, 1), 1, std::max<int64_t>(all, 1));
  // The memory of a decode step's few rows is kept, that of an update's is not.
  thread_local std::vector<float> kept;
  at::Tensor copied;
  if (most * stride <= kKeptNumbers) {
    kept.resize(static_cast<size_t>(kKeptNumbers));
  } else {
    copied = at::empty({most * stride}, at::kFloat);
  }
  auto* const rows = copied.defined() ? mutable_data<float>(copied) : kept.data();
  for (int64_t begin = 0; begin < all; begin += most) {
    const int64_t count = std::min(most, all - begin);
    for_ranges(divided(count, kRowsOfAnItem), std::max<int64_t>(1, kWorthAThread / (4 * kRowsOfAnItem * (k + 1))),
               [&](int64_t first, int64_t end) {
                 const int64_t row = first * kRowsOfAnItem;
                 const int64_t size = std::min(end * kRowsOfAnItem, count) - row;
                 copy(part_of<T>(a, begin + row, size, k_begin, k), rows + row * stride, stride);
               });
    f(begin, Rows{rows, stride, count});
  }
}

template <typename T>
void pack_parallel(const at::Tensor& b, int64_t k_begin, int64_t k, int64_t column, int64_t columns, T* panels) {
  const int64_t width = cpu::functions().panel_width;
  for_ranges(divided(columns, width), std::max<int64_t>(1, kWorthAThread / (4 * width * (k + 1))),
             [&](int64_t first, int64_t end) {
               const int64_t size = std::min(end * width, columns) - first * width;
               pack(part_of<T>(b, k_begin, k, column + first * width, size), panels + first * width * filled<T>(k));
             });
}

// A packed matrix as it is, or one that is packed part by part.
template <typename T, typename Out>
void multiply_packed(const at::Tensor& a, const PackedMatrix& b, const Target<T, Out>& target) {
  const int64_t k = a.size(1);
  for_rows<T>(a, 0, k, [&](int64_t row, const Rows& rows) {
    auto at = target;
    at.out += row * at.stride;
    multiply(rows, k, const_data<T>(b.panels), b.columns, at);
  });
}

template <typename T, typename Out>
void multiply_part_of_k(const at::Tensor& a, const at::Tensor& b, int64_t k_begin, int64_t k,
                        const Target<T, Out>& target) {
  const int64_t width = cpu::functions().panel_width, columns = b.size(1);
  const int64_t most = std::clamp<int64_t>(kPartNumbers / std::max<int64_t>(k * width, 1), 1, divided(columns, width));
  const auto packed = at::empty({most * width * filled<T>(k)}, b.options());
  for (int64_t column = 0; column < columns; column += most * width) {
    const int64_t count = std::min(most * width, columns - column);
    pack_parallel(b, k_begin, k, column, count, mutable_data<T>(packed));
    for_rows<T>(a, k_begin, k, [&](int64_t row, const Rows& rows) {
      auto at = target;
      at.out += row * at.stride + column;
      if (at.bias != nullptr) at.bias += column;
      multiply(rows, k, const_data<T>(packed), count, at);
    });
  }
}

template <typename T, typename Out>
void multiply_plain(const at::Tensor& a, const at::Tensor& b, const Target<T, Out>& target) {
  const int64_t k = a.size(1);
  if (k <= kPartOfK) return multiply_part_of_k(a, b, 0, k, target);
  if constexpr (std::is_same_v<Out, float>) {
    auto part = target;
    for (int64_t begin = 0; begin < k; begin += kPartOfK) {
      part.bias = begin == 0 ? target.bias : nullptr;
      part.add = target.add || begin > 0;
      multiply_part_of_k(a, b, begin, std::min(kPartOfK, k - begin), part);
    }
  }
}

void check(const at::Tensor& a, at::IntArrayRef b, at::ScalarType b_type, const at::Tensor& bias) {
  GRPO_CHECK(a.is_cpu() && a.dim() == 2 && a.size(1) == b[0] && a.scalar_type() == b_type, "product: ", a.sizes(), " ",
             a.scalar_type(), " by ", b, " ", b_type);
  GRPO_CHECK(b_type == at::kFloat || b_type == at::kBFloat16, "product of ", b_type);
  GRPO_CHECK(!bias.defined() || (bias.dim() == 1 && bias.size(0) == b[1]), "product: bias ", bias.sizes(), " for ", b);
}

// Calls f with a number of the dtype's type.
template <typename F>
auto with_type(at::ScalarType type, F&& f) {
  return type == at::kFloat ? f(float{}) : f(BFloat16{});
}

at::Tensor dense_bias(const at::Tensor& bias, at::ScalarType type) {
  if (!bias.defined()) return bias;
  return bias.scalar_type() == type ? bias.contiguous() : bias.to(type).contiguous();
}

void check_result(const at::Tensor& out, const at::Tensor& a, int64_t columns, at::ScalarType type) {
  GRPO_CHECK(out.dim() == 2 && out.size(0) == a.size(0) && out.size(1) == columns && out.scalar_type() == type,
             "product: ", out.sizes(), " ", out.scalar_type(), " for ", a.sizes(), " by ", columns, " columns");
}

// Whether a matrix's rows lie densely, so that a result can be written to it.
bool has_rows(const at::Tensor& x) { return x.stride(1) == 1 || x.size(1) == 1; }

// A product over no numbers, whose matrices have no memory to read.
void write_empty_sums(const at::Tensor& out, const at::Tensor& bias) { bias.defined() ? out.copy_(bias) : out.zero_(); }

void write_product(at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias) {
  check(a, b.sizes(), b.scalar_type(), bias);
  check_result(out, a, b.size(1), a.scalar_type());
  if (a.size(1) == 0) return write_empty_sums(out, bias);
  // Sums that are made in parts of k are kept as fp32 in between.
  const bool in_parts = a.scalar_type() == at::kBFloat16 && a.size(1) > kPartOfK;
  if (in_parts || !has_rows(out)) {
    auto sums = at::zeros(out.sizes(), out.options().dtype(at::kFloat));
    add_product(sums, a, b);
    out.copy_(bias.defined() ? sums.add_(bias) : sums);
    return;
  }
  const auto left = with_a_dense_side(a), right = with_a_dense_side(b);
  const auto added = dense_bias(bias, a.scalar_type());
  with_type(a.scalar_type(), [&](auto type) {
    using T = decltype(type);
    multiply_plain<T, T>(left, right, {mutable_data<T>(out), out.stride(0), const_data<T>(added), false});
  });
}

}  // namespace

const char* cpu_instruction_set() { return cpu::functions().name; }

PackedMatrix pack_matrix(const at::Tensor& matrix) {
  GRPO_CHECK(matrix.is_cpu() && matrix.dim() == 2, "pack_matrix: ", matrix.sizes());
  GRPO_CHECK(matrix.scalar_type() == at::kFloat || matrix.scalar_type() == at::kBFloat16, "pack_matrix of ",
             matrix.scalar_type());
  const int64_t width = cpu::functions().panel_width, k = matrix.size(0), columns = matrix.size(1);
  const auto dense = with_a_dense_side(matrix.detach());
  return with_type(dense.scalar_type(), [&](auto type) -> PackedMatrix {
    using T = decltype(type);
    const auto panels = at::empty({divided(columns, width), filled<T>(k), width}, dense.options());
    pack_parallel(dense, 0, k, 0, columns, mutable_data<T>(panels));
    return {cpu::functions().name, panels, k, columns};
  });
}

void product_into(const at::Tensor& out, const at::Tensor& a, const PackedMatrix& b, const at::Tensor& bias) {
  check(a, {b.k, b.columns}, b.panels.scalar_type(), bias);
  GRPO_CHECK(b.instruction_set == cpu::functions().name, "product: packed for ", b.instruction_set, ", not for ",
             cpu::functions().name);
  check_result(out, a, b.columns, a.scalar_type());
  GRPO_CHECK(has_rows(out), "product into strides ", out.strides());
  if (b.k == 0) return write_empty_sums(out, bias);
  const auto dense = with_a_dense_side(a);
  const auto added = dense_bias(bias, a.scalar_type());
  with_type(a.scalar_type(), [&](auto type) {
    using T = decltype(type);
    multiply_packed<T, T>(dense, b, {mutable_data<T>(out), out.stride(0), const_data<T>(added), false});
  });
}

at::Tensor product(const at::Tensor& a, const PackedMatrix& b, const at::Tensor& bias) {
  auto out = at::empty({a.size(0), b.columns}, a.options().requires_grad(false));
  product_into(out, a, b, bias);
  return out;
}

at::Tensor product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias) {
  auto out = at::empty({a.size(0), b.size(1)}, a.options().requires_grad(false));
  write_product(out, a, b, bias);
  return out;
}

void product_into(at::Tensor& out, const at::Tensor& a, const at::Tensor& b) { write_product(out, a, b, {}); }

void add_product(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b) {
  check(a, b.sizes(), b.scalar_type(), {});
  check_result(sum, a, b.size(1), at::kFloat);
  if (a.size(1) == 0) return;
  if (!has_rows(sum)) {
    auto product = at::zeros(sum.sizes(), sum.options());
    add_product(product, a, b);
    sum.add_(product);
    return;
  }
  const auto left = with_a_dense_side(a), right = with_a_dense_side(b);
  with_type(a.scalar_type(), [&](auto type) {
    using T = decltype(type);
    multiply_plain<T, float>(left, right, {mutable_data<float>(sum), sum.stride(0), nullptr, true});
  });
}

}  // namespace grpo::kernels

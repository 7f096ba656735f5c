// Brings matrices into the layout that products read: columns into panels, and rows into steps side by side.
#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/panel.h"
#include "kernels/cpu/square.h"

namespace grpo::kernels::cpu::GRPO_ISA {
namespace {

template <typename T>
GRPO_INLINE Vec load_up_to(const T* p, int64_t count) {
  return count <= 0 ? Vec{} : load_some(p, count < kLanes ? count : kLanes);
}

template <typename T>
void pack_panel(const MatrixPart<T>& matrix, int64_t column, T* panel) {
  const int64_t k = matrix.rows, left = matrix.columns - column;
  const T* from = matrix.data + column * matrix.column_stride;
  if (matrix.column_stride == 1) {
    for (int64_t i = 0; i < k; ++i, from += matrix.row_stride, panel += kPanel)
      store_pair(panel, load_up_to(from, left), load_up_to(from + kLanes, left - kLanes));
    return;
  }
  for (int64_t i = 0; i < k; i += kLanes) {
    Vec first[kLanes], second[kLanes];
    load_square(from + i, matrix.column_stride, left, k - i, first);
    load_square(from + i + kLanes * matrix.column_stride, matrix.column_stride, left - kLanes, k - i, second);
    transpose(first);
    transpose(second);
    for (int j = 0; j < kLanes && i + j < k; ++j) store_pair(panel + (i + j) * kPanel, first[j], second[j]);
  }
}

#if defined(__AVX512BF16__)

// Number (row, column), and 0 beyond the last row and column.
GRPO_INLINE BFloat16 number(const MatrixPart<BFloat16>& matrix, int64_t row, int64_t column) {
  if (row >= matrix.rows || column >= matrix.columns) return {};
  return matrix.data[row * matrix.row_stride + column * matrix.column_stride];
}

// Up to kLanes of `count` numbers, each with its neighbour from the line behind, or with 0 where there is none.
GRPO_INLINE Vec pairs_of(const BFloat16* line, const BFloat16* behind, int64_t count) {
  const Vec low = load_up_to(line, count);
  const Vec high = behind != nullptr ? load_up_to(behind, count) : Vec{};
  return (Vec)(((VecUint)low >> 16) | (VecUint)high);
}

// Two vectors of a row's numbers beside those of the next row.
void pack_rows_of_pairs(const MatrixPart<BFloat16>& matrix, int64_t column, Pair* panel) {
  const int64_t left = matrix.columns - column;
  for (int64_t i = 0; i < matrix.rows; i += 2, panel += kPanel) {
    const BFloat16* first = matrix.data + i * matrix.row_stride + column;
    const BFloat16* second = i + 1 < matrix.rows ? first + matrix.row_stride : nullptr;
    const BFloat16* second_end = second == nullptr ? nullptr : second + kLanes;
    store_pair(panel, pairs_of(first, second, left), pairs_of(first + kLanes, second_end, left - kLanes));
  }
}

// A matrix whose columns lie densely, in whole pairs, is one of pairs already.
void pack_panel(const MatrixPart<BFloat16>& matrix, int64_t column, Pair* panel) {
  if (matrix.column_stride == 1) return pack_rows_of_pairs(matrix, column, panel);
  if (matrix.rows % 2 == 0 && matrix.column_stride % 2 == 0) {
    const auto* pairs = reinterpret_cast<const Pair*>(matrix.data);
    return pack_panel(MatrixPart<Pair>{pairs, 1, matrix.column_stride / 2, matrix.rows / 2, matrix.columns}, column,
                      panel);
  }
  for (int64_t i = 0; i < matrix.rows; i += 2) {
    for (int64_t j = column; j < column + kPanel; ++j) *panel++ = {number(matrix, i, j), number(matrix, i + 1, j)};
  }
}

// The pairs of kLanes rows from row r on, whose numbers lie side by side in each column.
void transpose_pairs(const MatrixPart<BFloat16>& matrix, int64_t r, Pair* out, int64_t out_stride) {
  const int64_t left = matrix.rows - r, steps = steps_of<BFloat16>(matrix.columns);
  for (int64_t i = 0; i < steps; i += kLanes) {
    Vec square[kLanes] = {};
    for (int j = 0; j < kLanes && i + j < steps; ++j) {
      const int64_t column = 2 * (i + j);
      const BFloat16* line = matrix.data + r + column * matrix.column_stride;
      square[j] = pairs_of(line, column + 1 < matrix.columns ? line + matrix.column_stride : nullptr, left);
    }
    transpose(square);
    const int64_t count = steps - i < kLanes ? steps - i : kLanes;
    for (int j = 0; j < kLanes && j < left; ++j)
      store_some(reinterpret_cast<float*>(out + (r + j) * out_stride + i), square[j], count);
  }
}

void copy_pairs(const MatrixPart<BFloat16>& matrix, Pair* out, int64_t out_stride) {
  if (matrix.column_stride != 1) {
    for (int64_t r = 0; r < matrix.rows; r += kLanes) transpose_pairs(matrix, r, out, out_stride);
    return;
  }
  for (int64_t r = 0; r < matrix.rows; ++r) {
    Pair* to = out + r * out_stride;
    const BFloat16* from = matrix.data + r * matrix.row_stride;
    std::memcpy(to, from, static_cast<size_t>(matrix.columns) * sizeof(BFloat16));
    if (matrix.columns % 2 != 0) to[matrix.columns / 2] = {from[matrix.columns - 1], {}};
  }
}

#endif

}  // namespace

extern const int64_t kPanelWidth, kBf16Step;
const int64_t kPanelWidth = kPanel, kBf16Step = kStepNumbers<BFloat16>;

template <typename T>
void pack_panels(const MatrixPart<T>& matrix, T* panels) {
  auto* panel = reinterpret_cast<Step<T>*>(panels);
  for (int64_t column = 0; column < matrix.columns; column += kPanel, panel += steps_of<T>(matrix.rows) * kPanel)
    pack_panel(matrix, column, panel);
}

template <typename T>
void copy_rows(const MatrixPart<T>& matrix, float* out, int64_t out_stride) {
  if constexpr (std::is_same_v<Step<T>, Pair>) return copy_pairs(matrix, reinterpret_cast<Pair*>(out), out_stride);
  if (matrix.column_stride == 1) {
    for (int64_t r = 0; r < matrix.rows; ++r) {
      const T* from = matrix.data + r * matrix.row_stride;
      float* to = out + r * out_stride;
      for_each_part(matrix.columns,
                    [&](int64_t i, int64_t count) { store_some(to + i, load_some(from + i, count), count); });
    }
    return;
  }
  for (int64_t r = 0; r < matrix.rows; r += kLanes) {
    for (int64_t i = 0; i < matrix.columns; i += kLanes) {
      const int64_t columns = matrix.columns - i < kLanes ? matrix.columns - i : kLanes;
      Vec square[kLanes];
      load_square(matrix.data + r + i * matrix.column_stride, matrix.column_stride, columns, matrix.rows - r, square);
      transpose(square);
      for (int j = 0; j < kLanes && r + j < matrix.rows; ++j)
        store_some(out + (r + j) * out_stride + i, square[j], columns);
    }
  }
}

template void pack_panels(const MatrixPart<float>&, float*);
template void pack_panels(const MatrixPart<BFloat16>&, BFloat16*);
template void copy_rows(const MatrixPart<float>&, float*, int64_t);
template void copy_rows(const MatrixPart<BFloat16>&, float*, int64_t);

}  // namespace grpo::kernels::cpu::GRPO_ISA

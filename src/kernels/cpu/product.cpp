// Matrix products with packed columns. A tile of rows and a panel of columns has all its sums in registers; numbers of
// k are taken in parts, so that a panel's part stays in the first-level cache while tile after tile reads it.
#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/vec.h"

#if defined(__clang__)
#define GRPO_UNROLL _Pragma("unroll")
#else
#define GRPO_UNROLL _Pragma("GCC unroll 16")
#endif

namespace grpo::kernels::cpu::GRPO_ISA {
namespace {

constexpr int kPanel = 2 * kLanes;
constexpr int kTileRows = kLanes == 16 ? 12 : 6;  // two vectors a row: the sums leave registers for the operands
constexpr int64_t kPartBytes = 18432;             // of a panel, beside which a tile's rows fit into 32 KiB
constexpr int64_t kFewNumbers = 32768;            // rows * k of a block that stays in the second-level cache
constexpr int64_t kLine = 64;
constexpr int64_t kAhead = 2048;  // bytes

static_assert(kPanel <= kWidestPanel);

// The two vectors of a panel's row. Those of bf16 alternate, number i of the first with number i of the second, so that
// a shift and a mask widen them.
GRPO_INLINE void load_pair(const float* p, Vec& first, Vec& second) {
  first = load(p);
  second = load(p + kLanes);
}

GRPO_INLINE void load_pair(const BFloat16* p, Vec& first, Vec& second) {
  VecUint bits;
  std::memcpy(&bits, p, sizeof bits);
  first = (Vec)(bits << 16);
  second = (Vec)(bits & 0xFFFF0000u);
}

GRPO_INLINE void store_pair(float* p, Vec first, Vec second) {
  store(p, first);
  store(p + kLanes, second);
}

GRPO_INLINE void store_pair(BFloat16* p, Vec first, Vec second) {
  const VecUint bits = ((VecUint)first >> 16) | ((VecUint)second & 0xFFFF0000u);
  std::memcpy(p, &bits, sizeof bits);
}

// What a tile reads and where its sums are kept from one part of k to the next.
template <typename T>
struct Tile {
  const float* a;
  int64_t a_stride;
  const T* panel;
  int64_t panel_stride;  // to the next of the kPanels
  int64_t k;
  float* sums;           // [kRows, kPanel]
  int64_t sums_stride;   // to those of the next panel
  bool first;            // the sums begin here
  const char* ahead;     // prefetched meanwhile
  int64_t ahead_lines;   // for each two numbers of k
  int64_t ahead_stride;  // to the next panel's
};

template <int kRows, int kPanels, typename T>
GRPO_INLINE void add_step(const float* const* rows, const T* const* panels, int64_t i, Vec (&sums)[kPanels][kRows][2]) {
  GRPO_UNROLL for (int p = 0; p < kPanels; ++p) {
    Vec first, second;
    load_pair(panels[p] + i * kPanel, first, second);
    GRPO_UNROLL for (int r = 0; r < kRows; ++r) {
      sums[p][r][0] += first * rows[r][i];
      sums[p][r][1] += second * rows[r][i];
    }
  }
}

template <int kRows, int kPanels, typename T>
void add_tile(const Tile<T>& tile) {
  Vec sums[kPanels][kRows][2];
  const float* rows[kRows];
  const T* panels[kPanels];
  GRPO_UNROLL for (int r = 0; r < kRows; ++r) rows[r] = tile.a + r * tile.a_stride;
  GRPO_UNROLL for (int p = 0; p < kPanels; ++p) {
    panels[p] = tile.panel + p * tile.panel_stride;
    GRPO_UNROLL for (int r = 0; r < kRows; ++r) {
      const float* kept = tile.sums + p * tile.sums_stride + r * kPanel;
      sums[p][r][0] = tile.first ? Vec{} : load(kept);
      sums[p][r][1] = tile.first ? Vec{} : load(kept + kLanes);
    }
  }
  const char* ahead = tile.ahead;
  int64_t i = 0;
  for (; i + 2 <= tile.k; i += 2) {
    for (int64_t line = 0; line < tile.ahead_lines; ++line, ahead += kLine) {
      GRPO_UNROLL for (int p = 0; p < kPanels; ++p) __builtin_prefetch(ahead + p * tile.ahead_stride);
    }
    add_step<kRows, kPanels>(rows, panels, i, sums);
    add_step<kRows, kPanels>(rows, panels, i + 1, sums);
  }
  if (i < tile.k) add_step<kRows, kPanels>(rows, panels, i, sums);
  GRPO_UNROLL for (int p = 0; p < kPanels; ++p) {
    GRPO_UNROLL for (int r = 0; r < kRows; ++r) {
      float* kept = tile.sums + p * tile.sums_stride + r * kPanel;
      store(kept, sums[p][r][0]);
      store(kept + kLanes, sums[p][r][1]);
    }
  }
}

// One row would wait for its own sums, so it takes several panels at once; so do two and three.
template <int kRows>
constexpr int kPanelsAtOnce = kRows == 1   ? 4
                              : kRows <= 3 ? 2
                                           : 1;

template <typename T, int kRows = kTileRows>
GRPO_INLINE void add_rows(int64_t rows, int64_t panels, const Tile<T>& tile) {
  if constexpr (kRows > 0) {
    if (rows != kRows) return add_rows<T, kRows - 1>(rows, panels, tile);
    if (panels == 1) return add_tile<kRows, 1>(tile);
    return add_tile<kRows, kPanelsAtOnce<kRows>>(tile);
  }
}

int64_t panels_at_once(int64_t rows) {
  return rows == 1 ? kPanelsAtOnce<1> : rows <= 3 ? kPanelsAtOnce<3> : kPanelsAtOnce<4>;
}

template <typename Out>
GRPO_INLINE void write_part(Out* out, Vec sum, int64_t count, bool add) {
  if (count <= 0) return;
  if (count > kLanes) count = kLanes;
  if (add) sum += load_some(out, count);
  store_some(out, sum, count);
}

template <typename T, typename Out>
void write_panel(const ProductTask<T, Out>& task, const float* sums, int64_t column) {
  const int64_t count = task.columns - column < kPanel ? task.columns - column : kPanel;
  const int64_t second_count = count - kLanes;
  Vec bias[2] = {};
  if (task.bias != nullptr) {
    bias[0] = load_some(task.bias + column, count < kLanes ? count : kLanes);
    if (second_count > 0) bias[1] = load_some(task.bias + column + kLanes, second_count);
  }
  for (int64_t r = 0; r < task.rows; ++r) {
    Out* out = task.out + r * task.out_stride + column;
    Vec first = load(sums + r * kPanel), second = load(sums + r * kPanel + kLanes);
    if (task.bias != nullptr) first += bias[0], second += bias[1];
    write_part(out, first, count, task.add);
    write_part(out + kLanes, second, second_count, task.add);
  }
}

// Numbers of k that are taken together. This depends on k alone.
template <typename T>
int64_t part_of_k(int64_t k) {
  constexpr int64_t kMost = kPartBytes / static_cast<int64_t>(kPanel * sizeof(T));
  const int64_t parts = (k + kMost - 1) / kMost;
  return parts == 0 ? 1 : ((k + parts - 1) / parts + 3) / 4 * 4;
}

// Adds a part of k to the sums of all rows and of `panels` panels that are read side by side. next: the panel's numbers
// that are read after these.
template <typename T, typename Out>
void add_part(const ProductTask<T, Out>& task, int64_t panel, int64_t panels, int64_t begin, int64_t size, float* sums,
              const T* next) {
  const int64_t panel_size = task.k * kPanel;
  const int64_t tiles = (task.rows + kTileRows - 1) / kTileRows;
  constexpr int64_t kLinesOfTwo = 2 * static_cast<int64_t>(kPanel * sizeof(T)) / kLine;
  const int64_t lines = (kLinesOfTwo + tiles - 1) / tiles;
  Tile<T> tile{.a = task.a + begin,
               .a_stride = task.a_stride,
               .panel = task.panels + panel * panel_size + begin * kPanel,
               .panel_stride = panel_size,
               .k = size,
               .sums = sums,
               .sums_stride = task.rows * kPanel,
               .first = begin == 0,
               .ahead = nullptr,
               .ahead_lines = lines,
               .ahead_stride = panel_size * static_cast<int64_t>(sizeof(T))};
  const auto* const next_begin = reinterpret_cast<const char*>(next);
  const auto* const next_end = reinterpret_cast<const char*>(next + size * kPanel);
  tile.ahead = tiles == 1 ? reinterpret_cast<const char*>(tile.panel) + kAhead : next_begin;
  int64_t row = 0;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t rows = (task.rows - row + tiles - t - 1) / (tiles - t);  // tiles of nearly equal size
    add_rows(rows, panels, tile);
    row += rows;
    tile.a = task.a + row * task.a_stride + begin;
    tile.sums = sums + row * kPanel;
    tile.ahead += lines * (size / 2) * kLine;
    if (tile.ahead >= next_end) tile.ahead_lines = 0;
  }
}

}  // namespace

extern const int64_t kPanelWidth;
const int64_t kPanelWidth = kPanel;

template <typename T, typename Out>
void product(const ProductTask<T, Out>& task) {
  const int64_t panels = (task.columns + kPanel - 1) / kPanel;
  const int64_t part = part_of_k<T>(task.k);
  const int64_t side = panels_at_once(task.rows);
  const int64_t group = task.rows * task.k <= kFewNumbers ? side : kProductGroup;
  for (int64_t p = 0; p < panels; p += group) {
    const int64_t group_end = p + group < panels ? p + group : panels;
    for (int64_t begin = 0; begin == 0 || begin < task.k; begin += part) {
      const int64_t size = task.k - begin < part ? task.k - begin : part;
      for (int64_t panel = p; panel < group_end;) {
        const int64_t count = panel + side <= group_end ? side : 1;
        const bool more = panel + count < group_end, last = begin + part >= task.k;
        const T* next = task.panels +
                        (more   ? panel + count
                         : last ? group_end
                                : p) *
                            task.k * kPanel +
                        (more   ? begin
                         : last ? 0
                                : begin + part) *
                            kPanel;
        add_part(task, panel, count, begin, size, task.scratch + (panel - p) * task.rows * kPanel, next);
        panel += count;
      }
    }
    for (int64_t panel = p; panel < group_end; ++panel)
      write_panel(task, task.scratch + (panel - p) * task.rows * kPanel, panel * kPanel);
  }
}

namespace {

template <int kStep, int... kIndex>
GRPO_INLINE void exchange(Vec& a, Vec& b, Indices<kIndex...>) {
  const Vec low = permute<((kIndex & kStep) ? kLanes + kIndex - kStep : kIndex)...>(a, b);
  b = permute<((kIndex & kStep) ? kLanes + kIndex : kIndex + kStep)...>(a, b);
  a = low;
}

// Lane j of rows[i] becomes lane i of rows[j].
template <int kStep = kLanes / 2>
GRPO_INLINE void transpose(Vec* rows) {
  if constexpr (kStep > 0) {
    GRPO_UNROLL for (int i = 0; i < kLanes; ++i) {
      if ((i & kStep) == 0) exchange<kStep>(rows[i], rows[i + kStep], typename MakeIndices<kLanes>::Type{});
    }
    transpose<kStep / 2>(rows);
  }
}

// lines[i] receives `length` numbers that lie side by side, `stride` after those of lines[i - 1]; the rest is 0.
template <typename T>
GRPO_INLINE void load_square(const T* from, int64_t stride, int64_t count, int64_t length, Vec* lines) {
  if (count >= kLanes && length >= kLanes) {
    GRPO_UNROLL for (int i = 0; i < kLanes; ++i) lines[i] = load(from + i * stride);
    return;
  }
  for (int i = 0; i < kLanes; ++i)
    lines[i] = i < count ? load_some(from + i * stride, length < kLanes ? length : kLanes) : Vec{};
}

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

}  // namespace

template <typename T>
void pack_panels(const MatrixPart<T>& matrix, T* panels) {
  for (int64_t column = 0; column < matrix.columns; column += kPanel)
    pack_panel(matrix, column, panels + column * matrix.rows);
}

template <typename T>
void copy_rows(const MatrixPart<T>& matrix, float* out, int64_t out_stride) {
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
template void product(const ProductTask<float, float>&);
template void product(const ProductTask<BFloat16, BFloat16>&);
template void product(const ProductTask<BFloat16, float>&);

}  // namespace grpo::kernels::cpu::GRPO_ISA

// Matrix products with packed columns. A tile of rows and a panel of columns has all its sums in registers; numbers of
// k are taken in parts, so that a panel's part stays in the first-level cache while tile after tile reads it.
#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/panel.h"

namespace grpo::kernels::cpu::GRPO_ISA {
namespace {

// Rows of a tile: two vectors of sums a row leave registers for the operands. Pairs need fewer to be as fast, and then
// the 16 or 32 sequences of a step make whole tiles.
template <typename S>
constexpr int kTileRows = kLanes < 16               ? 6
                          : std::is_same_v<S, Pair> ? 8
                                                    : 12;
constexpr int64_t kPartBytes = 18432;   // of a panel, beside which a tile's rows fit into 32 KiB
constexpr int64_t kFewNumbers = 32768;  // rows * k of a block that stays in the second-level cache
constexpr int64_t kLine = 64;
constexpr int64_t kAhead = 2048;  // bytes

// What a tile reads and where its sums are kept from one part of k to the next. S: a Step.
template <typename S>
struct Tile {
  const float* a;
  int64_t a_stride;
  const S* panel;
  int64_t panel_stride;  // to the next of the kPanels
  int64_t steps;
  float* sums;           // [kRows, kPanel]
  int64_t sums_stride;   // to those of the next panel
  bool first;            // the sums begin here
  const char* ahead;     // prefetched meanwhile
  int64_t ahead_lines;   // for each two steps
  int64_t ahead_stride;  // to the next panel's
};

template <int kRows, int kPanels, typename S>
GRPO_INLINE void add_step(const float* const* rows, const S* const* panels, int64_t i, Vec (&sums)[kPanels][kRows][2]) {
  GRPO_UNROLL for (int p = 0; p < kPanels; ++p) {
    Vec first, second;
    load_pair(panels[p] + i * kPanel, first, second);
    GRPO_UNROLL for (int r = 0; r < kRows; ++r) {
      const Vec row = spread<S>(rows[r] + i);
      sums[p][r][0] = multiply_add<S>(sums[p][r][0], first, row);
      sums[p][r][1] = multiply_add<S>(sums[p][r][1], second, row);
    }
  }
}

template <int kRows, int kPanels, typename S>
void add_tile(const Tile<S>& tile) {
  Vec sums[kPanels][kRows][2];
  const float* rows[kRows];
  const S* panels[kPanels];
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
  for (; i + 2 <= tile.steps; i += 2) {
    for (int64_t line = 0; line < tile.ahead_lines; ++line, ahead += kLine) {
      GRPO_UNROLL for (int p = 0; p < kPanels; ++p) __builtin_prefetch(ahead + p * tile.ahead_stride);
    }
    add_step<kRows, kPanels>(rows, panels, i, sums);
    add_step<kRows, kPanels>(rows, panels, i + 1, sums);
  }
  if (i < tile.steps) add_step<kRows, kPanels>(rows, panels, i, sums);
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

template <typename S, int kRows = kTileRows<S>>
GRPO_INLINE void add_rows(int64_t rows, int64_t panels, const Tile<S>& tile) {
  if constexpr (kRows > 0) {
    if (rows != kRows) return add_rows<S, kRows - 1>(rows, panels, tile);
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

// Steps that are taken together. This depends on k alone.
template <typename S>
int64_t part_of(int64_t steps) {
  constexpr int64_t kMost = kPartBytes / static_cast<int64_t>(kPanel * sizeof(S));
  const int64_t parts = (steps + kMost - 1) / kMost;
  return parts == 0 ? 1 : ((steps + parts - 1) / parts + 3) / 4 * 4;
}

// The panels of a task, step by step.
template <typename S>
struct Panels {
  const S* data;
  int64_t steps;

  const S* at(int64_t panel, int64_t step) const { return data + (panel * steps + step) * kPanel; }
};

// Adds a part of k to the sums of all rows and of `count` panels that are read side by side. next: the panel's numbers
// that are read after these.
template <typename S, typename T, typename Out>
void add_part(const ProductTask<T, Out>& task, const Panels<S>& panels, int64_t panel, int64_t count, int64_t begin,
              int64_t size, float* sums, const S* next) {
  const int64_t tiles = (task.rows + kTileRows<S> - 1) / kTileRows<S>;
  constexpr int64_t kLinesOfTwo = 2 * static_cast<int64_t>(kPanel * sizeof(S)) / kLine;
  const int64_t lines = (kLinesOfTwo + tiles - 1) / tiles;
  const int64_t panel_size = panels.steps * kPanel;
  Tile<S> tile{.a = task.a + begin,
               .a_stride = task.a_stride,
               .panel = panels.at(panel, begin),
               .panel_stride = panel_size,
               .steps = size,
               .sums = sums,
               .sums_stride = task.rows * kPanel,
               .first = begin == 0,
               .ahead = nullptr,
               .ahead_lines = lines,
               .ahead_stride = panel_size * static_cast<int64_t>(sizeof(S))};
  const auto* const next_begin = reinterpret_cast<const char*>(next);
  const auto* const next_end = reinterpret_cast<const char*>(next + size * kPanel);
  tile.ahead = tiles == 1 ? reinterpret_cast<const char*>(tile.panel) + kAhead : next_begin;
  int64_t row = 0;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t rows = (task.rows - row + tiles - t - 1) / (tiles - t);  // tiles of nearly equal size
    add_rows(rows, count, tile);
    row += rows;
    tile.a = task.a + row * task.a_stride + begin;
    tile.sums = sums + row * kPanel;
    tile.ahead += lines * (size / 2) * kLine;
    if (tile.ahead >= next_end) tile.ahead_lines = 0;
  }
}

}  // namespace

template <typename T, typename Out>
void product(const ProductTask<T, Out>& task) {
  const Panels<Step<T>> panels{reinterpret_cast<const Step<T>*>(task.panels), steps_of<T>(task.k)};
  const int64_t all = (task.columns + kPanel - 1) / kPanel;
  const int64_t part = part_of<Step<T>>(panels.steps);
  const int64_t side = panels_at_once(task.rows);
  const int64_t group = task.rows * task.k <= kFewNumbers ? side : kProductGroup;
  for (int64_t p = 0; p < all; p += group) {
    const int64_t group_end = p + group < all ? p + group : all;
    for (int64_t begin = 0; begin < panels.steps; begin += part) {
      const int64_t size = panels.steps - begin < part ? panels.steps - begin : part;
      for (int64_t panel = p; panel < group_end;) {
        const int64_t count = panel + side <= group_end ? side : 1;
        const bool more = panel + count < group_end, last = begin + part >= panels.steps;
        const auto* next = more   ? panels.at(panel + count, begin)
                           : last ? panels.at(group_end, 0)
                                  : panels.at(p, begin + part);
        add_part(task, panels, panel, count, begin, size, task.scratch + (panel - p) * task.rows * kPanel, next);
        panel += count;
      }
    }
    for (int64_t panel = p; panel < group_end; ++panel)
      write_panel(task, task.scratch + (panel - p) * task.rows * kPanel, panel * kPanel);
  }
}

template void product(const ProductTask<float, float>&);
template void product(const ProductTask<BFloat16, BFloat16>&);
template void product(const ProductTask<BFloat16, float>&);

}  // namespace grpo::kernels::cpu::GRPO_ISA

// Attention of a few tokens of one sequence for the query heads of some kv heads, in blocks of keys at absolute
// positions with a running softmax. A block is read for one kv head after the other, because their numbers lie side by
// side. A row is one query head of one token; every row's numbers are its own, so that it does not matter which rows
// are computed together.
#include "kernels/cpu/dot_tile.h"
#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/panel.h"

namespace grpo::kernels::cpu::GRPO_ISA {
namespace {

constexpr float kInfinity = __builtin_inff();
constexpr int kValueVecs = 4;  // vectors of an output row that are summed in registers

// The parts of the scratch memory. Rows of d elements are padded with zeros to whole vectors, of bf16 to two.
struct Buffers {
  int64_t d;       // padded head dimension
  float* queries;  // [kv heads, rows, d]
  float* acc;      // [kv heads, rows, d]: sum of p v so far
  float* highest;  // [kv heads, rows]
  float* total;    // [kv heads, rows]: sum of p so far
  float* scores;   // [rows, kAttentionBlock]
  float* keys;     // [kAttentionBlock, d]
  float* values;   // [kAttentionBlock, d]

  Buffers of_head(int64_t kv_head, int64_t rows) const {
    Buffers b = *this;
    b.queries += kv_head * rows * d;
    b.acc += kv_head * rows * d;
    b.highest += kv_head * rows;
    b.total += kv_head * rows;
    return b;
  }
};

GRPO_INLINE Buffers divide(float* scratch, int64_t rows, int64_t kv_heads, int64_t d) {
  const int64_t all = rows * kv_heads;
  Buffers b{};
  b.d = d;
  b.queries = scratch;
  b.acc = b.queries + all * d;
  b.highest = b.acc + all * d;
  b.total = b.highest + all;
  b.scores = b.total + all;
  b.keys = b.scores + rows * kAttentionBlock;
  b.values = b.keys + kAttentionBlock * d;
  return b;
}

// Rows of fp32 lie in the scratch memory as they are; the last vector may overlap the one before it, which is faster
// than handling a part of a vector. Of bf16 the numbers of even place come first in each two vectors, then those of odd
// place, which a shift and a mask make of what was read. The order does not matter to sums over a row, and write_row()
// undoes it.
GRPO_INLINE void copy_row(const float* from, float* to, int64_t n) {
  if (n < kLanes) {
    store(to, load_part(from, n));
    return;
  }
  for (int64_t i = 0; i + kLanes <= n; i += kLanes) store(to + i, load(from + i));
  store(to + n - kLanes, load(from + n - kLanes));
}

GRPO_INLINE void copy_row(const BFloat16* from, float* to, int64_t n) {
  int64_t i = 0;
  for (; i + kPanel <= n; i += kPanel) {
    Vec even, odd;
    load_pair(from + i, even, odd);
    store_pair(to + i, even, odd);
  }
  if (i == n) return;
  BFloat16 rest[kPanel] = {};
  for (int64_t j = i; j < n; ++j) rest[j - i] = from[j];
  Vec even, odd;
  load_pair(rest, even, odd);
  store_pair(to + i, even, odd);
}

GRPO_INLINE void write_row(const float* from, float factor, float* to, int64_t n) {
  if (n < kLanes) {
    store_part(to, load(from) * factor, n);
    return;
  }
  for (int64_t i = 0; i + kLanes <= n; i += kLanes) store(to + i, load(from + i) * factor);
  store(to + n - kLanes, load(from + n - kLanes) * factor);
}

GRPO_INLINE void write_row(const float* from, float factor, BFloat16* to, int64_t n) {
  for (int64_t i = 0; i < n; i += kPanel) {
    BFloat16 whole[kPanel];
    BFloat16* const place = n - i < kPanel ? whole : to + i;
    store_pair(place, rounded_to_bf16(load(from + i) * factor), rounded_to_bf16(load(from + i + kLanes) * factor));
    if (place == whole) std::memcpy(to + i, whole, static_cast<size_t>(n - i) * sizeof(BFloat16));
  }
}

// Where a block's positions lie: elements from the first kv head's keys of page 0, and likewise for values.
struct Places {
  int64_t count;
  int64_t at[kAttentionBlock];
};

template <typename T>
GRPO_INLINE void find_places(const AttentionTask<T>& task, int64_t start, int64_t longest, Places& places) {
  places.count = longest - start < kAttentionBlock ? longest - start : kAttentionBlock;
  int64_t page = start / task.page_size, row = start % task.page_size;
  for (int64_t j = 0; j < places.count; ++j) {
    places.at[j] = task.pages[page] * task.page_stride + row * task.row_stride;
    if (++row < task.page_size) continue;
    row = 0;
    ++page;
  }
}

// Memory is what bounds a decode step, and a processor does not foresee where a page list leads.
template <typename T>
GRPO_INLINE void prefetch_row(const T* row, int64_t d) {
  constexpr int64_t kLine = 64 / sizeof(T);
  for (int64_t i = 0; i < d; i += kLine) __builtin_prefetch(row + i);
}

// Loads a kv head's keys and values of a block as fp32, and prefetches those of the next one.
template <typename T>
GRPO_INLINE void read_block(const AttentionTask<T>& task, int64_t head_dim, int64_t kv_head, const Places& block,
                            const Places& next, const Buffers& b) {
  const T* keys = task.keys + kv_head * head_dim;
  const T* values = task.values + kv_head * head_dim;
  for (int64_t j = 0; j < block.count; ++j) {
    if (j < next.count) {
      prefetch_row(keys + next.at[j], head_dim);
      prefetch_row(values + next.at[j], head_dim);
    }
    copy_row(keys + block.at[j], b.keys + j * b.d, head_dim);
    copy_row(values + block.at[j], b.values + j * b.d, head_dim);
  }
}

// Turns a row's scores into exp(score - highest) and brings its sums to the new highest.
void softmax_block(const Buffers& b, int64_t row, int64_t count, float scale, bool first) {
  float* scores = b.scores + row * kAttentionBlock;
  Vec block[kAttentionBlock / kLanes];
  Vec top = splat(-kInfinity);
  for (int part = 0; part < kAttentionBlock / kLanes; ++part) {
    block[part] = keep_below(load(scores + part * kLanes) * scale, count - part * kLanes, -kInfinity);
    top = max(block[part], top);
  }
  const float block_top = max(top);
  const float highest = first || block_top > b.highest[row] ? block_top : b.highest[row];
  Vec sums = {};
  for (int part = 0; part < kAttentionBlock / kLanes; ++part) {
    const Vec p = keep_below(exp(block[part] - highest), count - part * kLanes, 0.0f);
    sums += p;
    store(scores + part * kLanes, p);
  }
  if (first) {
    b.total[row] = sum(sums);
  } else {
    const float keep = highest == b.highest[row] ? 1.0f : exp(splat(b.highest[row] - highest))[0];
    b.total[row] = b.total[row] * keep + sum(sums);
    float* acc = b.acc + row * b.d;
    for (int64_t i = 0; i < b.d && keep != 1.0f; i += kLanes) store(acc + i, load(acc + i) * keep);
  }
  b.highest[row] = highest;
}

// acc[row] += sum over j < count of p[row][j] v[j] for kRows rows and kVecs vectors of the head dimension.
template <int kRows, int kVecs>
GRPO_INLINE void add_values_tile(const float* p, const float* values, float* acc, int64_t count, int64_t d) {
  Vec sums[kRows][kVecs];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVecs; ++v) sums[r][v] = load(acc + r * d + v * kLanes);
  }
  for (int64_t j = 0; j < count; ++j) {
    for (int v = 0; v < kVecs; ++v) {
      const Vec value = load(values + j * d + v * kLanes);
      for (int r = 0; r < kRows; ++r) sums[r][v] = fused(value, splat(p[r * kAttentionBlock + j]), sums[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVecs; ++v) store(acc + r * d + v * kLanes, sums[r][v]);
  }
}

template <int kRows>
GRPO_INLINE void add_values(const Buffers& b, int64_t row, int64_t count) {
  const float* p = b.scores + row * kAttentionBlock;
  float* acc = b.acc + row * b.d;
  int64_t i = 0;
  for (; i + kValueVecs * kLanes <= b.d; i += kValueVecs * kLanes)
    add_values_tile<kRows, kValueVecs>(p, b.values + i, acc + i, count, b.d);
  for (; i + kLanes <= b.d; i += kLanes) add_values_tile<kRows, 1>(p, b.values + i, acc + i, count, b.d);
}

// Works on the rows from `row` on; rows with the same number of keys are taken together.
template <typename CountOf>
GRPO_INLINE void add_values_of_rows(const Buffers& b, int64_t row, int64_t rows, const CountOf& count_of) {
  const auto alike = [&](int64_t n) { return row + n <= rows && count_of(row) == count_of(row + n - 1); };
  while (row < rows) {
    const int64_t count = count_of(row);
    if (alike(kTileRows)) {
      add_values<kTileRows>(b, row, count);
      row += kTileRows;
    } else if (alike(3)) {
      add_values<3>(b, row, count);
      row += 3;
    } else if (alike(2)) {
      add_values<2>(b, row, count);
      row += 2;
    } else {
      add_values<1>(b, row, count);
      row += 1;
    }
  }
}

// head_dim: the task's, as a constant where the caller knows it.
template <typename T>
GRPO_INLINE void attend(const AttentionTask<T>& task, const int64_t head_dim) {
  const int64_t rows = task.tokens * task.group;  // of one kv head
  constexpr int64_t kPad = std::is_same_v<T, float> ? kLanes : kPanel;
  const int64_t d = (head_dim + kPad - 1) / kPad * kPad;
  const Buffers all = divide(task.scratch, rows, task.kv_heads, d);
  const int64_t longest = task.first_length + task.tokens - 1;
  Places places[2];
  find_places(task, 0, longest, places[0]);
  for (int64_t j = 0; j < places[0].count; ++j) {
    prefetch_row(task.keys + places[0].at[j], task.kv_heads * head_dim);
    prefetch_row(task.values + places[0].at[j], task.kv_heads * head_dim);
  }
  std::memset(all.queries, 0, static_cast<size_t>(2 * task.kv_heads * rows * d) * sizeof(float));  // and acc
  std::memset(all.keys, 0, static_cast<size_t>(2 * kAttentionBlock * d) * sizeof(float));          // and values
  const auto offset_of_row = [&](int64_t kv_head, int64_t row) {
    return row / task.group * task.token_stride + (kv_head * task.group + row % task.group) * head_dim;
  };
  for (int64_t kv = 0; kv < task.kv_heads; ++kv) {
    for (int64_t row = 0; row < rows; ++row)
      copy_row(task.queries + offset_of_row(kv, row), all.queries + (kv * rows + row) * d, head_dim);
  }
  for (int64_t start = 0; start < longest; start += kAttentionBlock) {
    const Places& block = places[start / kAttentionBlock % 2];
    Places& next = places[(start / kAttentionBlock + 1) % 2];
    find_places(task, start + kAttentionBlock, longest, next);
    const auto count_of = [&](int64_t row) {
      const int64_t left = task.first_length + row / task.group - start;
      return left < kAttentionBlock ? left : kAttentionBlock;
    };
    // Tokens whose context ends before this block are finished.
    int64_t row = 0;
    while (count_of(row) <= 0) row += task.group;
    const int64_t whole_tiles = (block.count + kTileOutputs - 1) / kTileOutputs * kTileOutputs;
    for (int64_t kv = 0; kv < task.kv_heads; ++kv) {
      const Buffers b = all.of_head(kv, rows);
      read_block(task, head_dim, kv, block, next, b);
      dot_block(b.queries + row * d, b.keys, b.scores + row * kAttentionBlock, rows - row, whole_tiles, d,
                kAttentionBlock);
      for (int64_t r = row; r < rows; ++r) softmax_block(b, r, count_of(r), task.scale, start == 0);
      add_values_of_rows(b, row, rows, count_of);
    }
  }
  for (int64_t kv = 0; kv < task.kv_heads; ++kv) {
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t at = kv * rows + row;
      write_row(all.acc + at * d, 1.0f / all.total[at], task.out + offset_of_row(kv, row), head_dim);
    }
  }
}

}  // namespace

template <typename T>
void attention(const AttentionTask<T>& task) {
  // The embedded model's head size, and those of most others.
  if (task.head_dim == 24) return attend(task, 24);
  if (task.head_dim == 64) return attend(task, 64);
  if (task.head_dim == 128) return attend(task, 128);
  attend(task, task.head_dim);
}

template void attention(const AttentionTask<float>&);
template void attention(const AttentionTask<BFloat16>&);

}  // namespace grpo::kernels::cpu::GRPO_ISA

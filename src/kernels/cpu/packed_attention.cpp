// Attention of packed texts and its gradient, for the query heads of one kv head: block of queries by block of keys, in
// fp32. Keys and values are brought into the order in which products read them once for a family; a completion's
// queries see the blocks of its prompt and of itself. A row is one query head of one token. Every sum has an order that
// depends on the family alone.
#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/square.h"

namespace grpo::kernels::cpu::GRPO_ISA {
namespace {

constexpr float kInfinity = __builtin_inff();

// Sums of a tile of rows and vectors that leave registers for the operands.
constexpr int kTileRows = 6;
constexpr int kTileVecs = kLanes == 16 ? 4 : 2;

// c[i][j] += sum over l < k of a[i * a_row + l * a_step] * b[l * b_stride + j]; without `add` c begins with 0.
struct Product {
  const float* a;
  int64_t a_row, a_step;
  const float* b;
  int64_t b_stride;
  float* c;
  int64_t c_stride;
  int64_t k;
  bool add;
};

template <int kRows, int kVecs>
void add_tile(const Product& p, int64_t row, int64_t column) {
  Vec sums[kRows][kVecs];
  float* const c = p.c + row * p.c_stride + column;
  GRPO_UNROLL for (int r = 0; r < kRows; ++r) {
    GRPO_UNROLL for (int v = 0; v < kVecs; ++v) sums[r][v] = p.add ? load(c + r * p.c_stride + v * kLanes) : Vec{};
  }
  const float* a = p.a + row * p.a_row;
  const float* b = p.b + column;
  for (int64_t l = 0; l < p.k; ++l, a += p.a_step, b += p.b_stride) {
    Vec numbers[kVecs];
    GRPO_UNROLL for (int v = 0; v < kVecs; ++v) numbers[v] = load(b + v * kLanes);
    GRPO_UNROLL for (int r = 0; r < kRows; ++r) {
      const Vec factor = splat(a[r * p.a_row]);
      GRPO_UNROLL for (int v = 0; v < kVecs; ++v) sums[r][v] = fused(numbers[v], factor, sums[r][v]);
    }
  }
  GRPO_UNROLL for (int r = 0; r < kRows; ++r) {
    GRPO_UNROLL for (int v = 0; v < kVecs; ++v) store(c + r * p.c_stride + v * kLanes, sums[r][v]);
  }
}

template <int kVecs, int kRows = kTileRows>
GRPO_INLINE void add_rows(const Product& p, int64_t rows, int64_t row, int64_t column) {
  if constexpr (kRows > 0) {
    if (rows != kRows) return add_rows<kVecs, kRows - 1>(p, rows, row, column);
    add_tile<kRows, kVecs>(p, row, column);
  }
}

template <int kVecs>
void add_columns(const Product& p, int64_t m, int64_t column) {
  for (int64_t row = 0; row < m; row += kTileRows)
    add_rows<kVecs>(p, m - row < kTileRows ? m - row : kTileRows, row, column);
}

// m rows and n columns, a multiple of kLanes.
void multiply(const Product& p, int64_t m, int64_t n) {
  int64_t column = 0;
  for (; column + kTileVecs * kLanes <= n; column += kTileVecs * kLanes) add_columns<kTileVecs>(p, m, column);
  if (kTileVecs > 2 && column + 2 * kLanes <= n) {
    add_columns<2>(p, m, column);
    column += 2 * kLanes;
  }
  for (; column < n; column += kLanes) add_columns<1>(p, m, column);
}

constexpr int64_t whole_vectors(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

// The parts of the scratch memory. Slots are rows of keys, each segment's filled up to whole vectors; a block of them
// has kPackedKeys, or fewer at the end of its segment. "By place": block by block [head_dim, slots of the block], so
// that products with rows of queries read numbers of several keys side by side. d: head_dim filled up to whole vectors.
struct Buffers {
  int64_t d;
  float* keys_by_place;
  float* queries;  // [heads, d], scaled
  float* scores;   // [heads, kPackedKeys], which become weights
  float* sums;     // [heads, d]: the output, or the gradient of the queries
  float* highest;  // [heads]: the highest score so far; in the gradient the log-sum-exp
  float* total;    // [heads]: the sum of weights so far; in the gradient the product of output and its gradient
  // Of the output alone:
  float* values;  // [slots, d]
  // Of the gradient alone:
  float* keys;  // [slots, d]
  float* values_by_place;
  float *key_grad, *value_grad;  // [slots, d]
  float* grad;                   // [heads, d]: of the output
  float* score_grad;             // [heads, kPackedKeys]
};

template <typename T>
int64_t slots_of(const PackedAttentionTask<T>& task) {
  return packed_attention_slots(task.offsets, task.segments);
}

template <typename T>
int64_t tokens_of_block(const PackedAttentionTask<T>& task) {
  return task.group < kPackedQueries ? kPackedQueries / task.group : 1;
}

template <typename T>
Buffers divide(const PackedAttentionTask<T>& task, bool gradient) {
  const int64_t heads = packed_attention_round(task.group > kPackedQueries ? task.group : kPackedQueries);
  Buffers b{};
  b.d = whole_vectors(task.head_dim);
  const int64_t of_keys = slots_of(task) * b.d, of_queries = heads * b.d, of_scores = heads * kPackedKeys;
  float* next = task.scratch;
  const auto take = [&next](int64_t count) {
    next += count;
    return next - count;
  };
  b.keys_by_place = take(of_keys);
  if (gradient) {
    b.keys = take(of_keys);
    b.values_by_place = take(of_keys);
    b.key_grad = take(of_keys);
    b.value_grad = take(of_keys);
    b.grad = take(of_queries);
    b.score_grad = take(of_scores);
  } else {
    b.values = take(of_keys);
  }
  b.queries = take(of_queries);
  b.sums = take(of_queries);
  b.scores = take(of_scores);
  b.highest = take(heads);
  b.total = take(heads);
  return b;
}

template <typename T>
GRPO_INLINE void read_row(const T* from, float factor, float* to, int64_t n) {
  for_each_part(n, [&](int64_t i, int64_t count) { store(to + i, load_some(from + i, count) * factor); });
}

template <typename T>
GRPO_INLINE void write_row(const float* from, float factor, T* to, int64_t n) {
  for_each_part(n, [&](int64_t i, int64_t count) { store_some(to + i, load(from + i) * factor, count); });
}

// A block of keys: of the segment of its queries or of the prompt before it.
struct Keys {
  int64_t row;     // of its first key
  int64_t slot;    // likewise
  int64_t count;   // those before the end of the queries
  int64_t stride;  // of its keys place by place: all of its keys, filled up to whole vectors

  int64_t width() const { return whole_vectors(count); }
  // How many of them a token sees: those up to itself, which of a prompt are all.
  int64_t seen(int64_t token) const {
    if (token - row >= count) return count;
    return token < row ? 0 : token - row + 1;
  }
};

// Rows of a segment and the slot of the first one.
struct Segment {
  int64_t begin, end, slot;
};

int64_t up_to_a_block(int64_t keys) { return keys < kPackedKeys ? keys : kPackedKeys; }

// Calls f for the blocks of a segment's keys before row `end`.
template <typename F>
GRPO_INLINE void for_each_block(const Segment& segment, int64_t end, const F& f) {
  for (int64_t row = segment.begin; row < end; row += kPackedKeys) {
    f(Keys{.row = row,
           .slot = segment.slot + row - segment.begin,
           .count = up_to_a_block(end - row),
           .stride = whole_vectors(up_to_a_block(segment.end - row))});
  }
}

template <typename T, typename F>
GRPO_INLINE void for_each_segment(const PackedAttentionTask<T>& task, const F& f) {
  int64_t slot = 0;
  for (int64_t s = 0; s < task.segments; ++s) {
    const Segment segment{task.offsets[s], task.offsets[s + 1], slot};
    f(segment);
    slot += packed_attention_round(segment.end - segment.begin);
  }
}

// Brings `count` rows of keys or values to [head_dim, width].
template <typename T>
void place_by_place(const T* from, int64_t stride, int64_t count, int64_t head_dim, float* to) {
  const int64_t width = whole_vectors(count);
  for (int64_t j = 0; j < count; j += kLanes) {
    for (int64_t i = 0; i < head_dim; i += kLanes) {
      Vec square[kLanes];
      load_square(from + j * stride + i, stride, count - j, head_dim - i, square);
      transpose(square);
      for (int lane = 0; lane < kLanes && i + lane < head_dim; ++lane) store(to + (i + lane) * width + j, square[lane]);
    }
  }
}

template <typename T>
void read_keys(const PackedAttentionTask<T>& task, const Buffers& b) {
  for_each_segment(task, [&](const Segment& segment) {
    for_each_block(segment, segment.end, [&](const Keys& block) {
      const T* keys = task.keys + block.row * task.key_stride;
      const T* values = task.values + block.row * task.value_stride;
      place_by_place(keys, task.key_stride, block.count, task.head_dim, b.keys_by_place + block.slot * b.d);
      if (b.values_by_place != nullptr)
        place_by_place(values, task.value_stride, block.count, task.head_dim, b.values_by_place + block.slot * b.d);
      for (int64_t j = 0; j < block.count; ++j) {
        const int64_t at = (block.slot + j) * b.d;
        if (b.keys != nullptr) read_row(keys + j * task.key_stride, 1.0f, b.keys + at, task.head_dim);
        if (b.values != nullptr) read_row(values + j * task.value_stride, 1.0f, b.values + at, task.head_dim);
      }
    });
  });
}

// Query heads of consecutive tokens of a segment.
struct Queries {
  int64_t token, tokens;

  int64_t end() const { return token + tokens; }
};

// Calls each(queries, for_each_keys), where for_each_keys(f) calls f for each block of keys that the queries see.
template <typename T, typename Each>
GRPO_INLINE void for_each_queries(const PackedAttentionTask<T>& task, const Each& each) {
  const int64_t most = tokens_of_block(task);
  const Segment first{0, task.offsets[1], 0};
  for_each_segment(task, [&](const Segment& segment) {
    for (int64_t token = segment.begin; token < segment.end; token += most) {
      const Queries queries{token, segment.end - token < most ? segment.end - token : most};
      each(queries, [&](const auto& f) {
        if (segment.begin > 0) for_each_block(first, first.end, f);
        for_each_block(segment, queries.end(), f);
      });
    }
  });
}

// scores = heads times the keys or values of a block.
void multiply_by_place(const Buffers& b, const float* heads, int64_t rows, const float* by_place, const Keys& block,
                       int64_t head_dim, float* scores) {
  multiply({.a = heads,
            .a_row = b.d,
            .a_step = 1,
            .b = by_place + block.slot * b.d,
            .b_stride = block.stride,
            .c = scores,
            .c_stride = kPackedKeys,
            .k = head_dim,
            .add = false},
           rows, block.width());
}

// sums [rows, d] += weights [rows, keys of the block] times rows of keys or values.
void add_weighted(const Buffers& b, const float* weights, int64_t rows, const float* of_keys, const Keys& block) {
  multiply({.a = weights,
            .a_row = kPackedKeys,
            .a_step = 1,
            .b = of_keys + block.slot * b.d,
            .b_stride = b.d,
            .c = b.sums,
            .c_stride = b.d,
            .k = block.count,
            .add = true},
           rows, b.d);
}

// of_keys [keys of the block, d] += weights^T times heads [rows, d].
void add_to_keys(const Buffers& b, const float* weights, int64_t rows, const float* heads, const Keys& block,
                 float* of_keys) {
  multiply({.a = weights,
            .a_row = 1,
            .a_step = kPackedKeys,
            .b = heads,
            .b_stride = b.d,
            .c = of_keys + block.slot * b.d,
            .c_stride = b.d,
            .k = rows,
            .add = true},
           block.count, b.d);
}

// Turns the scores of a row into exp(score - highest), 0 where a key is not seen, and brings its sums to the new
// highest.
GRPO_INLINE void softmax_block(const Buffers& b, int64_t row, int64_t seen, int64_t width) {
  float* scores = b.scores + row * kPackedKeys;
  Vec tops = splat(-kInfinity);
  for (int64_t i = 0; i < width; i += kLanes) tops = max(keep_below(load(scores + i), seen - i, -kInfinity), tops);
  const float top = max(tops);
  const float highest = top > b.highest[row] ? top : b.highest[row];
  Vec sums = {};
  for (int64_t i = 0; i < width; i += kLanes) {
    const Vec weight = keep_below(exp(load(scores + i) - highest), seen - i, 0.0f);
    sums += weight;
    store(scores + i, weight);
  }
  const float keep = highest == b.highest[row] ? 1.0f : exp(splat(b.highest[row] - highest))[0];
  b.total[row] = b.total[row] * keep + sum(sums);
  b.highest[row] = highest;
  float* acc = b.sums + row * b.d;
  for (int64_t i = 0; i < b.d && keep != 1.0f; i += kLanes) store(acc + i, load(acc + i) * keep);
}

// Turns scores into weights exp(score - log_sum), and the gradient of weights into that of scores, weight * (gradient -
// sum of gradient * weight): the latter is the product of the output and its gradient.
GRPO_INLINE void softmax_gradient(const Buffers& b, int64_t row, int64_t seen, int64_t width) {
  float* scores = b.scores + row * kPackedKeys;
  float* grads = b.score_grad + row * kPackedKeys;
  for (int64_t i = 0; i < width; i += kLanes) {
    const Vec weight = keep_below(exp(load(scores + i) - b.highest[row]), seen - i, 0.0f);
    const Vec grad = weight * (load(grads + i) - b.total[row]);
    store(scores + i, weight);
    store(grads + i, keep_below(grad, seen - i, 0.0f));
  }
}

template <typename T>
GRPO_INLINE float dot(const T* x, const T* y, int64_t n) {
  Vec sums = {};
  for_each_part(
      n, [&](int64_t i, int64_t count) { sums = fused(load_some(x + i, count), load_some(y + i, count), sums); });
  return sum(sums);
}

template <typename T, typename Out>
void write_key_grads(const PackedAttentionTask<T>& task, const Buffers& b, Out* keys, Out* values) {
  for_each_segment(task, [&](const Segment& segment) {
    for (int64_t row = segment.begin; row < segment.end; ++row) {
      const int64_t from = (segment.slot + row - segment.begin) * b.d, to = row * task.key_grad_stride;
      write_row(b.key_grad + from, 1.0f, keys + to, task.head_dim);
      write_row(b.value_grad + from, 1.0f, values + to, task.head_dim);
    }
  });
}

void zero(float* x, int64_t n) { std::memset(x, 0, static_cast<size_t>(n) * sizeof(float)); }

}  // namespace

template <typename T>
void packed_attention(const PackedAttentionTask<T>& task) {
  const Buffers b = divide(task, /*gradient=*/false);
  read_keys(task, b);
  for_each_queries(task, [&](const Queries& queries, const auto& for_each_keys) {
    const int64_t rows = queries.tokens * task.group;
    const auto token_of = [&](int64_t row) { return queries.token + row / task.group; };
    zero(b.sums, rows * b.d);
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t head = row % task.group * task.head_dim;
      read_row(task.queries + token_of(row) * task.query_stride + head, task.scale, b.queries + row * b.d,
               task.head_dim);
      b.highest[row] = -kInfinity;
      b.total[row] = 0.0f;
    }
    for_each_keys([&](const Keys& block) {
      multiply_by_place(b, b.queries, rows, b.keys_by_place, block, task.head_dim, b.scores);
      for (int64_t row = 0; row < rows; ++row) softmax_block(b, row, block.seen(token_of(row)), block.width());
      add_weighted(b, b.scores, rows, b.values, block);
    });
    for (int64_t row = 0; row < rows; ++row) {
      T* out = task.out + token_of(row) * task.out_stride + row % task.group * task.head_dim;
      write_row(b.sums + row * b.d, 1.0f / b.total[row], out, task.head_dim);
      task.log_sums[token_of(row) * task.sum_stride + row % task.group] = b.highest[row] + __builtin_logf(b.total[row]);
    }
  });
}

template <typename T>
void packed_attention_backward(const PackedAttentionTask<T>& task) {
  const Buffers b = divide(task, /*gradient=*/true);
  read_keys(task, b);
  zero(b.key_grad, slots_of(task) * b.d);
  zero(b.value_grad, slots_of(task) * b.d);
  for_each_queries(task, [&](const Queries& queries, const auto& for_each_keys) {
    const int64_t rows = queries.tokens * task.group;
    const auto token_of = [&](int64_t row) { return queries.token + row / task.group; };
    zero(b.sums, rows * b.d);
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t head = row % task.group * task.head_dim, token = token_of(row);
      const T* grad = task.grad + token * task.out_stride + head;
      read_row(task.queries + token * task.query_stride + head, task.scale, b.queries + row * b.d, task.head_dim);
      read_row(grad, 1.0f, b.grad + row * b.d, task.head_dim);
      b.highest[row] = task.log_sums[token * task.sum_stride + row % task.group];
      b.total[row] = dot(grad, static_cast<const T*>(task.out + token * task.out_stride + head), task.head_dim);
    }
    for_each_keys([&](const Keys& block) {
      multiply_by_place(b, b.queries, rows, b.keys_by_place, block, task.head_dim, b.scores);
      multiply_by_place(b, b.grad, rows, b.values_by_place, block, task.head_dim, b.score_grad);
      for (int64_t row = 0; row < rows; ++row) softmax_gradient(b, row, block.seen(token_of(row)), block.width());
      add_to_keys(b, b.scores, rows, b.grad, block, b.value_grad);
      add_to_keys(b, b.score_grad, rows, b.queries, block, b.key_grad);  // the queries have been scaled
      add_weighted(b, b.score_grad, rows, b.keys, block);
    });
    for (int64_t row = 0; row < rows; ++row) {
      T* grad = task.query_grad + token_of(row) * task.query_grad_stride + row % task.group * task.head_dim;
      write_row(b.sums + row * b.d, task.scale, grad, task.head_dim);
    }
  });
  if (task.key_sums != nullptr) return write_key_grads(task, b, task.key_sums, task.value_sums);
  write_key_grads(task, b, task.key_grad, task.value_grad);
}

template void packed_attention(const PackedAttentionTask<float>&);
template void packed_attention(const PackedAttentionTask<BFloat16>&);
template void packed_attention_backward(const PackedAttentionTask<float>&);
template void packed_attention_backward(const PackedAttentionTask<BFloat16>&);

}  // namespace grpo::kernels::cpu::GRPO_ISA

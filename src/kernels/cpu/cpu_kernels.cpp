// The CPU inner loops. Compiled once per instruction set, in the namespace GRPO_ISA. Includes nothing with inline code of
// its own, so that no function compiled for a newer machine is shared with the rest of the program.
#include <cstdint>
#include <cstring>

#include "kernels/cpu/dispatch.h"

namespace grpo::kernels::cpu::GRPO_ISA {
namespace {

// Sixteen lanes on every machine: the order of each sum is then the same everywhere.
constexpr int64_t kLanes = 16;
typedef float Vec __attribute__((vector_size(64)));
typedef int32_t VecInt __attribute__((vector_size(64)));
typedef uint16_t VecHalf __attribute__((vector_size(32)));
typedef uint32_t VecUint __attribute__((vector_size(64)));

inline Vec splat(float value) { return Vec{} + value; }

inline Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline Vec load(const BFloat16* p) {
  VecHalf h;
  std::memcpy(&h, p, sizeof h);
  const VecUint wide = __builtin_convertvector(h, VecUint) << 16;
  Vec v;
  std::memcpy(&v, &wide, sizeof v);
  return v;
}

template <typename T>
inline Vec load_part(const T* p, int64_t count) {
  T padded[kLanes] = {};
  std::memcpy(padded, p, static_cast<size_t>(count) * sizeof(T));
  return load(padded);
}

inline void store(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }

// Round to nearest even; NaN stays NaN.
inline void store(BFloat16* p, Vec v) {
  VecUint bits;
  std::memcpy(&bits, &v, sizeof bits);
  const VecUint rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
  const VecUint quiet = (bits >> 16) | 0x40u;
  const VecUint is_nan = (VecUint)((bits & 0x7FFFFFFFu) > 0x7F800000u);
  const VecHalf h = __builtin_convertvector((rounded & ~is_nan) | (quiet & is_nan), VecHalf);
  std::memcpy(p, &h, sizeof h);
}

template <typename T>
inline void store_part(T* p, Vec v, int64_t count) {
  T padded[kLanes];
  store(padded, v);
  std::memcpy(p, padded, static_cast<size_t>(count) * sizeof(T));
}

// A fixed tree: lanes 8 apart, 4 apart, 2 apart, 1 apart.
inline float sum(Vec v) {
  float lanes[kLanes];
  store(lanes, v);
  for (int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (int64_t i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

inline Vec max(Vec a, Vec b) { return a > b ? a : b; }

// exp by 2^n * exp(r), |r| <= ln 2 / 2; the polynomial is the Taylor series to r^7 (relative error below 2^-23).
inline Vec exp(Vec x) {
  x = x < splat(-87.0f) ? splat(-87.0f) : x;
  x = x > splat(88.0f) ? splat(88.0f) : x;
  const Vec magic = splat(12582912.0f);  // adding 1.5 * 2^23 rounds to a whole number
  const Vec n = (x * 1.44269504088896341f + magic) - magic;
  const Vec r = (x - n * 0.693145751953125f) - n * 1.428606765330187e-06f;
  Vec p = splat(1.0f / 5040.0f);
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const VecInt exponent = (__builtin_convertvector(n, VecInt) + 127) << 23;
  Vec scale;
  std::memcpy(&scale, &exponent, sizeof scale);
  return p * scale;
}

// ---- linear: dot products over k in sixteen lanes, a tile of rows and outputs at a time ----

template <int kRows, int kOutputs>
inline void linear_tile(const float* x, const float* w, const float* bias, float* y, int64_t k, int64_t n, int64_t n_stride) {
  Vec acc[kRows][kOutputs] = {};
  int64_t i = 0;
  for (; i + kLanes <= k; i += kLanes) {
    Vec rows[kRows];
    for (int r = 0; r < kRows; ++r) rows[r] = load(x + r * k + i);
    for (int o = 0; o < kOutputs; ++o) {
      const Vec weight = load(w + (n + o) * k + i);
      for (int r = 0; r < kRows; ++r) acc[r][o] += rows[r] * weight;
    }
  }
  if (i < k) {
    for (int o = 0; o < kOutputs; ++o) {
      const Vec weight = load_part(w + (n + o) * k + i, k - i);
      for (int r = 0; r < kRows; ++r) acc[r][o] += load_part(x + r * k + i, k - i) * weight;
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int o = 0; o < kOutputs; ++o) {
      y[r * n_stride + n + o] = sum(acc[r][o]) + (bias != nullptr ? bias[n + o] : 0.0f);
    }
  }
}

template <int kRows>
inline void linear_rows(const float* x, const float* w, const float* bias, float* y, int64_t n_begin, int64_t n_end, int64_t k,
                        int64_t n_stride) {
  int64_t n = n_begin;
  for (; n + 4 <= n_end; n += 4) linear_tile<kRows, 4>(x, w, bias, y, k, n, n_stride);
  for (; n < n_end; ++n) linear_tile<kRows, 1>(x, w, bias, y, k, n, n_stride);
}

void linear(const float* x, const float* w, const float* bias, float* y, int64_t rows, int64_t n_begin, int64_t n_end, int64_t k,
            int64_t n_stride) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) linear_rows<4>(x + r * k, w, bias, y + r * n_stride, n_begin, n_end, k, n_stride);
  for (; r < rows; ++r) linear_rows<1>(x + r * k, w, bias, y + r * n_stride, n_begin, n_end, k, n_stride);
}

// ---- row-wise layers ----

template <typename T, typename F>
inline void for_each_part(int64_t n, F&& f) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) f(i, kLanes);
  if (i < n) f(i, n - i);
}

template <typename T>
inline Vec load_some(const T* p, int64_t count) {
  return count == kLanes ? load(p) : load_part(p, count);
}

template <typename T>
inline void store_some(T* p, Vec v, int64_t count) {
  count == kLanes ? store(p, v) : store_part(p, v, count);
}

template <typename T>
void rms_norm(const T* x, const T* weight, T* y, int64_t n, float eps) {
  Vec squares = {};
  for_each_part<T>(n, [&](int64_t i, int64_t count) {
    const Vec v = load_some(x + i, count);
    squares += v * v;
  });
  const float factor = 1.0f / __builtin_sqrtf(sum(squares) / static_cast<float>(n) + eps);
  for_each_part<T>(n, [&](int64_t i, int64_t count) {
    store_some(y + i, load_some(x + i, count) * factor * load_some(weight + i, count), count);
  });
}

template <typename T>
void silu_mul(const T* gate, const T* up, T* y, int64_t n) {
  for_each_part<T>(n, [&](int64_t i, int64_t count) {
    const Vec g = load_some(gate + i, count);
    store_some(y + i, g / (exp(-g) + 1.0f) * load_some(up + i, count), count);
  });
}

template <typename T>
void rope(const T* x, const float* cos, const float* sin, T* y, int64_t half) {
  for_each_part<T>(half, [&](int64_t i, int64_t count) {
    const Vec first = load_some(x + i, count), second = load_some(x + half + i, count);
    const Vec c = load_some(cos + i, count), s = load_some(sin + i, count);
    store_some(y + i, first * c - second * s, count);
    store_some(y + half + i, second * c + first * s, count);
  });
}

// ---- attention of one token over its sequence, in blocks at absolute positions (online softmax) ----

template <typename T>
inline float dot(const T* a, const T* b, int64_t n) {
  Vec acc = {};
  for_each_part<T>(n, [&](int64_t i, int64_t count) { acc += load_some(a + i, count) * load_some(b + i, count); });
  return sum(acc);
}

template <typename T>
void attention(const AttentionTask<T>& task) {
  constexpr float kMinusInfinity = -__builtin_inff();
  const int64_t d = task.head_dim;
  float* acc = task.scratch;             // [group, d]
  float* highest = acc + task.group * d;  // [group]
  float* total = highest + task.group;    // [group]
  float* scores = total + task.group;     // [group, kAttentionBlock]
  std::memset(acc, 0, static_cast<size_t>(task.group * d) * sizeof(float));
  for (int64_t g = 0; g < task.group; ++g) {
    highest[g] = kMinusInfinity;
    total[g] = 0.0f;
  }
  const auto row = [&](const T* base, int64_t position) {
    return base + task.pages[position / task.page_size] * task.page_stride + position % task.page_size * task.row_stride;
  };
  for (int64_t start = 0; start < task.length; start += kAttentionBlock) {
    const int64_t count = task.length - start < kAttentionBlock ? task.length - start : kAttentionBlock;
    for (int64_t j = 0; j < kAttentionBlock; ++j) {
      if (j >= count) {
        for (int64_t g = 0; g < task.group; ++g) scores[g * kAttentionBlock + j] = kMinusInfinity;
        continue;
      }
      const T* key = row(task.keys, start + j);
      for (int64_t g = 0; g < task.group; ++g) scores[g * kAttentionBlock + j] = dot(task.queries + g * d, key, d) * task.scale;
    }
    for (int64_t g = 0; g < task.group; ++g) {
      float* block = scores + g * kAttentionBlock;
      float new_highest = highest[g];
      for (int64_t j = 0; j < count; ++j) new_highest = block[j] > new_highest ? block[j] : new_highest;
      Vec sums = {};
      for (int64_t j = 0; j < kAttentionBlock; j += kLanes) {
        Vec p = exp(load(block + j) - new_highest);
        for (int64_t lane = 0; lane < kLanes; ++lane) {
          if (j + lane >= count) p[lane] = 0.0f;
        }
        sums += p;
        store(block + j, p);
      }
      const float keep = start == 0 ? 0.0f : exp(splat(highest[g] - new_highest))[0];
      total[g] = total[g] * keep + sum(sums);
      highest[g] = new_highest;
      float* out = acc + g * d;
      for_each_part<float>(d, [&](int64_t i, int64_t n) { store_some(out + i, load_some(out + i, n) * keep, n); });
    }
    for (int64_t j = 0; j < count; ++j) {
      const T* value = row(task.values, start + j);
      for_each_part<T>(d, [&](int64_t i, int64_t n) {
        const Vec v = load_some(value + i, n);
        for (int64_t g = 0; g < task.group; ++g) {
          float* out = acc + g * d + i;
          store_some(out, load_some(out, n) + v * scores[g * kAttentionBlock + j], n);
        }
      });
    }
  }
  for (int64_t g = 0; g < task.group; ++g) {
    const float inverse = 1.0f / total[g];
    for_each_part<T>(d, [&](int64_t i, int64_t n) { store_some(task.out + g * d + i, load_some(acc + g * d + i, n) * inverse, n); });
  }
}

// ---- softmax of one row of logits ----

SoftmaxRow softmax(const float* logits, float inverse_temperature, int64_t n, float* exps, double* block_sums) {
  Vec highest = splat(-__builtin_inff());
  for_each_part<float>(n, [&](int64_t i, int64_t count) {
    Vec v = load_some(logits + i, count);
    for (int64_t lane = count; lane < kLanes; ++lane) v[lane] = -__builtin_inff();
    highest = max(v, highest);
  });
  float top = highest[0];
  for (int64_t lane = 1; lane < kLanes; ++lane) top = highest[lane] > top ? highest[lane] : top;
  SoftmaxRow row{.argmax = -1, .max = top * inverse_temperature, .sum = 0.0};
  for (int64_t i = 0; i < n && row.argmax < 0; ++i) {
    if (logits[i] == top) row.argmax = i;
  }
  for (int64_t block = 0; block * kSoftmaxBlock < n; ++block) {
    const int64_t start = block * kSoftmaxBlock;
    const int64_t size = n - start < kSoftmaxBlock ? n - start : kSoftmaxBlock;
    Vec sums = {};
    for_each_part<float>(size, [&](int64_t i, int64_t count) {
      Vec e = exp(load_some(logits + start + i, count) * inverse_temperature - row.max);
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        // -inf logits (masked ids) have probability zero, not exp(-87).
        if (lane >= count || logits[start + i + lane] == -__builtin_inff()) e[lane] = 0.0f;
      }
      sums += e;
      store_some(exps + start + i, e, count);
    });
    block_sums[block] = static_cast<double>(sum(sums));
    row.sum += block_sums[block];
  }
  return row;
}

}  // namespace

extern const Functions kFunctions;
const Functions kFunctions = {
    .name = GRPO_ISA_NAME,
    .linear = linear,
    .rms_norm_f32 = rms_norm<float>,
    .rms_norm_bf16 = rms_norm<BFloat16>,
    .silu_mul_f32 = silu_mul<float>,
    .silu_mul_bf16 = silu_mul<BFloat16>,
    .rope_f32 = rope<float>,
    .rope_bf16 = rope<BFloat16>,
    .attention_f32 = attention<float>,
    .attention_bf16 = attention<BFloat16>,
    .softmax = softmax,
};

}  // namespace grpo::kernels::cpu::GRPO_ISA

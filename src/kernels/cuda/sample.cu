#include "kernels/cuda/device.cuh"

// One block samples one row. Masses exp((logit - max) / temperature) are summed as integers, in units of 2^-44: such
// sums are exact in any order, so that a row's token depends on nothing but its logits. The CPU sums the same masses in
// fp32 vectors and in double; both are right to about 1e-8 of the whole.

namespace grpo::kernels::cuda {
namespace {

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / kWarp;
constexpr int kChunk = 512;  // ids of a partial sum
constexpr int kBuckets = 256;
constexpr float kUnits = 17592186044416.0f;  // 2^44: the masses of kMaxVocabulary ids cannot overflow 64 bits

using Sum = unsigned long long;

__device__ int own_thread() { return static_cast<int>(threadIdx.x); }

// Larger logits have larger keys; -0 equals 0.
__device__ uint32_t key_of(float logit) {
  const uint32_t bits = __float_as_uint(logit + 0.0f);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

struct Highest {
  float value;
  int id;    // the lowest one among equals; -1: none yet
  bool nan;  // whether one was not a number

  __device__ void take(float other_value, int other_id) {
    if (other_value > value || (other_value == value && other_id >= 0 && (id < 0 || other_id < id))) {
      value = other_value;
      id = other_id;
    }
  }
};

// The ids that stay: keys above `key`, and of those equal to it the ids up to `last`.
struct Kept {
  uint32_t key = 0;
  int last = INT32_MAX;
  __device__ bool has(uint32_t other, int id) const { return other > key || (other == key && id <= last); }
};

// Counts and masses of ids by a digit of their keys. In words of 32 bits, because shared memory has no instruction that
// adds 64 bits atomically.
struct Buckets {
  uint32_t counts[kBuckets];
  uint32_t low[kBuckets], high[kBuckets];  // of the masses

  __device__ void clear() {
    for (int b = own_thread(); b < kBuckets; b += kThreads) counts[b] = low[b] = high[b] = 0;
  }
  __device__ void add(uint32_t bucket, uint32_t count, Sum mass) {
    atomicAdd(&counts[bucket], count);
    const auto added = static_cast<uint32_t>(mass);
    const uint32_t before = atomicAdd(&low[bucket], added);
    const uint32_t carried = static_cast<uint32_t>(before + added) < before ? 1 : 0;
    atomicAdd(&high[bucket], static_cast<uint32_t>(mass >> 32) + carried);
  }
  // For one warp: adds an id for each lane that has one. Flat rows put most of a warp into one bucket or two, where the
  // lanes would wait for each other: such a bucket gets the sum over its lanes at once.
  __device__ void add_of_warp(bool has, uint32_t bucket, Sum mass) {
    constexpr int kRounds = 2, kWorthSumming = 6;
    unsigned waiting = __ballot_sync(kAllLanes, has);
#pragma unroll 1
    for (int round = 0; round < kRounds && waiting != 0; ++round) {
      const int leader = __ffs(static_cast<int>(waiting)) - 1;
      const uint32_t chosen = __shfl_sync(kAllLanes, bucket, leader);
      const bool shares = has && bucket == chosen;
      const unsigned members = __ballot_sync(kAllLanes, shares);
      if (__popc(members) < kWorthSumming) break;
      const Sum total = sum_of_warp(shares ? mass : Sum{0});
      if (own_thread() % kWarp == leader) add(bucket, static_cast<uint32_t>(__popc(members)), total);
      has = has && !shares;
      waiting &= ~members;
    }
    if (has) add(bucket, 1, mass);
  }
  __device__ Sum mass(uint32_t bucket) const { return static_cast<Sum>(high[bucket]) << 32 | low[bucket]; }
};

struct Shared {
  Highest highest[kWarps];
  Sum parts[kWarps];
  Buckets buckets;
  uint32_t thread_keys[kThreads];
  // Results of one thread or warp that all threads read.
  Highest top;
  Sum total;
  uint32_t bucket;
  Sum above_count, above_mass;
  int found;
  uint32_t bound;
};

// The sampling of one row. All threads of the block call each function together.
template <typename T>
struct Row {
  const T* logits;
  int n;
  Shared& shared;
  Sum* chunks;  // [ceil(n / kChunk)], in shared memory
  Highest top;
  float inverse_temperature = 1.0f;

  __device__ float logit(int id) const { return to_float(logits[id]); }
  // As the CPU's softmax: the difference first, and nothing below e^-87.
  __device__ Sum mass(float value) const {
    const float below = (value - top.value) * inverse_temperature;
    return below >= -87.0f ? static_cast<Sum>(expf(below) * kUnits) : 0;
  }

  // Calls visit(logit, id) for each id of [start, end) in one of `threads` threads, of which this one has number `own`;
  // a thread's ids rise. Reads 16 bytes at a time where the row lies so. start: a multiple of a pack's elements.
  template <typename Visit>
  __device__ void visit(int start, int end, int own, int threads, const Visit& visit) const {
    visit_together(start, end, own, threads, [&](bool has, float value, int id) {
      if (has) visit(value, id);
    });
  }

  // The same with visit(has, logit, id): all threads call it the same number of times, some of them without an id in
  // the end.
  template <typename Visit>
  __device__ void visit_together(int start, int end, int own, int threads, const Visit& visit) const {
    constexpr int kCount = kWidestPack<T>;
    const bool packed = reinterpret_cast<uintptr_t>(logits + start) % (kCount * sizeof(T)) == 0;
    const int count = packed ? (end - start) / kCount : 0;
    const auto* packs = reinterpret_cast<const Pack<T, kCount>*>(logits + start);
#pragma unroll 2
    for (int first = 0; first < count; first += threads) {
      const int i = first + own;
      Pack<T, kCount> pack = {};
      if (i < count) pack = packs[i];
#pragma unroll
      for (int j = 0; j < kCount; ++j) visit(i < count, to_float(pack.at[j]), start + i * kCount + j);
    }
    for (int first = start + count * kCount; first < end; first += threads) {
      const int id = first + own;
      visit(id < end, id < end ? logit(id) : 0.0f, id);
    }
  }

  // Sets `top`; leaves each thread's own highest key in shared.thread_keys.
  __device__ void find_top() {
    Highest mine{-INFINITY, -1, false};
    visit(0, n, own_thread(), kThreads, [&](float value, int id) {
      mine.nan = mine.nan || isnan(value);
      if (value > mine.value) mine = {value, id, mine.nan};
    });
    shared.thread_keys[threadIdx.x] = mine.id < 0 ? 0 : key_of(mine.value);
    for (int distance = kWarp / 2; distance > 0; distance /= 2) {
      const float value = __shfl_xor_sync(kAllLanes, mine.value, distance);
      const int id = __shfl_xor_sync(kAllLanes, mine.id, distance);
      const int nan = __shfl_xor_sync(kAllLanes, static_cast<int>(mine.nan), distance);
      mine.take(value, id);
      mine.nan = mine.nan || nan != 0;
    }
    if (threadIdx.x % kWarp == 0) shared.highest[threadIdx.x / kWarp] = mine;
    __syncthreads();
    if (threadIdx.x == 0) {
      for (int w = 1; w < kWarps; ++w) {
        mine.take(shared.highest[w].value, shared.highest[w].id);
        mine.nan = mine.nan || shared.highest[w].nan;
      }
      shared.top = mine;
    }
    __syncthreads();
    top = shared.top;
  }

  // Sets chunks[c] to the sum of weight(logit, id) over the chunk's ids; returns the sum over all.
  template <typename Weight>
  __device__ Sum sum_chunks(const Weight& weight) {
    const int warp = own_thread() / kWarp, lane = own_thread() % kWarp;
    Sum mine = 0;
    for (int chunk = warp; chunk * kChunk < n; chunk += kWarps) {
      const int start = chunk * kChunk, end = min(n, start + kChunk);
      Sum sum = 0;
      visit(start, end, lane, kWarp, [&](float value, int id) { sum += weight(value, id); });
      sum = sum_of_warp(sum);
      if (lane == 0) chunks[chunk] = sum;
      mine += sum;
    }
    if (lane == 0) shared.parts[warp] = mine;
    __syncthreads();
    if (threadIdx.x == 0) {
      Sum total = 0;
      for (int w = 0; w < kWarps; ++w) total += shared.parts[w];
      shared.total = total;
    }
    __syncthreads();
    return shared.total;
  }

  // The first id whose running sum of weights exceeds target. REQUIRES: sum_chunks() of the same weights ran before.
  // The first warp does the search.
  template <typename Weight>
  __device__ int find(const Weight& weight, double target) {
    if (threadIdx.x < kWarp) {
      const int lane = own_thread();
      const int num_chunks = (n + kChunk - 1) / kChunk;
      Sum running = 0;
      const int chunk = first_above(num_chunks, target, running, [&](int c) { return chunks[c]; });
      const int start = chunk * kChunk, end = min(n, start + kChunk);
      const int id =
          start + first_above(end - start, target, running, [&](int i) { return weight(logit(start + i), start + i); });
      if (lane == 0) shared.found = id;
    }
    __syncthreads();
    return shared.found;
  }

  // One warp: the first of n items with running + sum of items up to it > target, or the last item that weighs
  // anything. running grows by the items before it.
  template <typename Item>
  __device__ int first_above(int count, double target, Sum& running, const Item& item) const {
    const int lane = own_thread();
    int last = 0;
    Sum before_last = running;
    for (int start = 0; start < count; start += kWarp) {
      const Sum own = start + lane < count ? item(start + lane) : 0;
      Sum through = own;  // the sum of this lane and those before it
      for (int distance = 1; distance < kWarp; distance *= 2) {
        const Sum other = __shfl_up_sync(kAllLanes, through, distance);
        if (lane >= distance) through += other;
      }
      const unsigned reached = __ballot_sync(kAllLanes, own > 0 && static_cast<double>(running + through) > target);
      const unsigned weighing = __ballot_sync(kAllLanes, own > 0);
      const int chosen =
          reached != 0 ? __ffs(static_cast<int>(reached)) - 1 : kWarp - 1 - __clz(static_cast<int>(weighing));
      if (weighing != 0) {
        last = start + chosen;
        before_last = running + __shfl_sync(kAllLanes, through - own, chosen);
      }
      if (reached != 0) break;
      running += __shfl_sync(kAllLanes, through, kWarp - 1);
    }
    running = before_last;
    return last;
  }

  // A key that at least k ids reach: the k-th highest of the threads' own highest ones.
  __device__ uint32_t bound_of_top_k(int64_t k) {
    if (k > kThreads) return 0;
    if (threadIdx.x == 0) shared.bound = 0;
    __syncthreads();
    const uint32_t mine = shared.thread_keys[threadIdx.x];
    int before = 0;
    for (int t = 0; t < kThreads; ++t) {
      const uint32_t other = shared.thread_keys[t];
      before += other > mine || (other == mine && t < own_thread());
    }
    if (before == k - 1) shared.bound = mine;
    __syncthreads();
    return shared.bound;
  }

  // Narrows `kept` to the largest logits that reach both goals, equal ones by lower id. Ids whose key is below `bound`
  // are known not to stay. The digits of the keys are decided one after the other, as the CPU's Truncation does.
  __device__ void cut(Kept& kept, Sum goal_count, double goal_mass, uint32_t bound) {
    // A bf16 number has 16 zero bits behind it, so the lower half of its key depends on its sign only.
    constexpr int kLastShift = sizeof(T) == 2 ? 16 : 0;
    Sum above_count = 0, above_mass = 0;
    uint32_t prefix = 0;
    for (int shift = 24; shift >= kLastShift; shift -= 8) {
      shared.buckets.clear();
      __syncthreads();
      visit_together(0, n, own_thread(), kThreads, [&](bool has, float value, int id) {
        const uint32_t key = key_of(value);
        has = has && key >= bound && kept.has(key, id) && (shift == 24 || key >> (shift + 8) == prefix);
        shared.buckets.add_of_warp(has, key >> shift & 255u, has ? mass(value) : Sum{0});
      });
      __syncthreads();
      if (threadIdx.x == 0) choose_bucket(above_count, above_mass, goal_count, goal_mass);
      __syncthreads();
      prefix = prefix << 8 | shared.bucket;
      above_count = shared.above_count;
      above_mass = shared.above_mass;
    }
    if (kLastShift == 16) prefix = prefix << 16 | ((prefix & 0x8000u) != 0 ? 0u : 0xffffu);
    const Sum ties = shared.buckets.counts[shared.bucket];
    const Sum tie_mass = ties > 0 ? shared.buckets.mass(shared.bucket) / ties : 0;
    const auto reached = [&](Sum count) {
      return above_count + count >= goal_count && static_cast<double>(above_mass + count * tie_mass) >= goal_mass;
    };
    Sum wanted = 1, enough = ties;  // a binary search for the fewest ties that reach the goals; all if none do
    while (wanted < enough) {
      const Sum middle = (wanted + enough) / 2;
      if (reached(middle)) {
        enough = middle;
      } else {
        wanted = middle + 1;
      }
    }
    const Kept before = kept;
    kept.key = prefix;
    if (before.key != prefix) kept.last = INT32_MAX;
    if (wanted >= ties) return;
    const auto tie = [&](float value, int id) {
      return Sum{key_of(value) == prefix && before.has(prefix, id) ? 1u : 0u};
    };
    sum_chunks(tie);
    kept.last = find(tie, static_cast<double>(wanted) - 0.5);
  }

  // One thread: from the highest bucket down, the one with which the goals are reached, else the last that holds an id.
  __device__ void choose_bucket(Sum above_count, Sum above_mass, Sum goal_count, double goal_mass) {
    uint32_t chosen = 0;
    Sum count = 0, weight = 0;
    for (int b = kBuckets - 1; b >= 0; --b) {
      if (shared.buckets.counts[b] == 0) continue;
      above_count += count;
      above_mass += weight;
      count = shared.buckets.counts[b];
      weight = shared.buckets.mass(static_cast<uint32_t>(b));
      chosen = static_cast<uint32_t>(b);
      if (above_count + count >= goal_count && static_cast<double>(above_mass + weight) >= goal_mass) break;
    }
    shared.bucket = chosen;
    shared.above_count = above_count;
    shared.above_mass = above_mass;
  }

  // The ids that top-k and top-p leave. total: of all masses.
  __device__ Kept truncate(Sum total, int64_t top_k, double top_p) {
    Kept kept;
    uint32_t bound = 0;
    if (top_k > 0 && top_k < n) {
      bound = bound_of_top_k(top_k);
      cut(kept, static_cast<Sum>(top_k), 0.0, bound);
      const Kept largest = kept;
      total = sum_chunks([&](float value, int id) { return largest.has(key_of(value), id) ? mass(value) : Sum{0}; });
    } else {
      bound = bound_of_top_p(total, top_p);
    }
    if (top_p < 1.0) cut(kept, 1, top_p * static_cast<double>(total), bound);
    return kept;
  }

  // The key of a logit so low that all ids below it have together less than the share 1 - top_p that may be left out.
  __device__ uint32_t bound_of_top_p(Sum total, double top_p) const {
    const double least =
        0.99 * (1.0 - top_p) * static_cast<double>(total) / static_cast<double>(n) / static_cast<double>(kUnits);
    if (!(least > 1e-30)) return 0;
    // Rounding of the logarithm must not lift the bound: a little lower.
    const double logit_bound =
        static_cast<double>(top.value) + (log(least) - 1e-3) / static_cast<double>(inverse_temperature);
    return key_of(static_cast<float>(logit_bound));
  }
};

struct Drawn {
  int id;
  float log_prob;
};

template <typename T>
__device__ bool draw(Row<T>& row, double temperature, int64_t top_k, double top_p, double uniform, Drawn& drawn) {
  const bool greedy = temperature == 0.0;
  const double inverse = greedy ? 1.0 : 1.0 / temperature;
  row.inverse_temperature = static_cast<float>(inverse);
  row.find_top();
  if (row.top.nan || row.top.id < 0 || !isfinite(row.top.value)) return false;
  const auto all = [&](float value, int) { return row.mass(value); };
  const Sum total = row.sum_chunks(all);
  if (total == 0) return false;  // a temperature next to zero
  drawn.id = row.top.id;
  if (!greedy && top_k == 0 && top_p == 1.0) {
    drawn.id = row.find(all, uniform * static_cast<double>(total));
  } else if (!greedy) {
    const Kept kept = row.truncate(total, top_k, top_p);
    const auto weight = [&](float value, int id) { return kept.has(key_of(value), id) ? row.mass(value) : Sum{0}; };
    drawn.id = row.find(weight, uniform * static_cast<double>(row.sum_chunks(weight)));
  }
  const double below = static_cast<double>(row.logit(drawn.id)) - static_cast<double>(row.top.value);
  drawn.log_prob = static_cast<float>(below * inverse - log(static_cast<double>(total) / static_cast<double>(kUnits)));
  return true;
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    sample_kernel(const T* logits, int64_t stride, int64_t n, SampledRows state) {
  __shared__ Shared shared;
  follow_kernel_in_front();
  const int64_t index = blockIdx.x;
  Row<T> row{logits + index * stride, static_cast<int>(n), shared, dynamic_shared<Sum>(),
             Highest{-INFINITY, -1, false}};
  Drawn drawn{0, 0.0f};
  const bool good =
      draw(row, state.temperature[index], state.top_k[index], state.top_p[index], state.uniform[index], drawn);
  if (threadIdx.x != 0) return;
  state.ids[index] = good ? drawn.id : 0;
  state.log_probs[index] = good ? drawn.log_prob : NAN;
}

// Visits all ids twice: the masses of the ids that stay are summed before any logit is overwritten.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    keep_sampled_kernel(T* logits, int64_t n, const int64_t* targets, Truncated truncated, float* kept_logs) {
  __shared__ Shared shared;
  const int64_t index = blockIdx.x;
  T* own = logits + index * n;
  Row<T> row{own, static_cast<int>(n), shared, dynamic_shared<Sum>(), Highest{-INFINITY, -1, false}};
  row.inverse_temperature = static_cast<float>(1.0 / truncated.temperature);
  row.find_top();
  const bool good = !row.top.nan && row.top.id >= 0 && isfinite(row.top.value);
  const Sum total = good ? row.sum_chunks([&](float value, int) { return row.mass(value); }) : 0;
  if (total == 0) {
    if (threadIdx.x == 0) kept_logs[index] = NAN;
    return;
  }
  const Kept kept = row.truncate(total, truncated.top_k, truncated.top_p);
  const int target = static_cast<int>(targets[index]);
  const auto stays = [&](float value, int id) { return id == target || kept.has(key_of(value), id); };
  const Sum mass = row.sum_chunks([&](float value, int id) { return stays(value, id) ? row.mass(value) : Sum{0}; });
  for (int id = own_thread(); id < row.n; id += kThreads) {
    if (!stays(row.logit(id), id)) own[id] = from_float<T>(-INFINITY);
  }
  if (threadIdx.x == 0)
    kept_logs[index] = static_cast<float>(log(static_cast<double>(mass) / static_cast<double>(total)));
}

}  // namespace

cudaError_t sample(Element type, Rows logits, int64_t rows, int64_t vocabulary, const SampledRows& state,
                   cudaStream_t stream) {
  if (rows == 0) return cudaSuccess;
  if (vocabulary > kMaxVocabulary) return cudaErrorInvalidValue;
  const size_t chunk_bytes = static_cast<size_t>((vocabulary + kChunk - 1) / kChunk) * sizeof(Sum);
  return with_type(type, [&](auto element) {
    using T = decltype(element);
    launch_following(sample_kernel<T>, dim3(static_cast<unsigned>(rows)), kThreads, chunk_bytes, stream,
                     static_cast<const T*>(logits.data), logits.stride, vocabulary, state);
  });
}

cudaError_t keep_sampled(Element type, void* logits, int64_t rows, int64_t vocabulary, const int64_t* targets,
                         Truncated truncated, float* kept, cudaStream_t stream) {
  if (rows == 0) return cudaSuccess;
  if (vocabulary > kMaxVocabulary) return cudaErrorInvalidValue;
  const size_t chunk_bytes = static_cast<size_t>((vocabulary + kChunk - 1) / kChunk) * sizeof(Sum);
  return with_type(type, [&](auto element) {
    using T = decltype(element);
    launch(keep_sampled_kernel<T>, dim3(static_cast<unsigned>(rows)), kThreads, chunk_bytes, stream,
           static_cast<T*>(logits), vocabulary, targets, truncated, kept);
  });
}

}  // namespace grpo::kernels::cuda

#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace grpo::base {

/// Random numbers are computed from keys, never drawn from a shared stream: the same key gives the same number on any
/// rank, in any batch and after any restart. Philox-4x32-10 (Salmon et al., SC'11): 128-bit counter, 64-bit key.
std::array<uint32_t, 4> philox(const std::array<uint32_t, 4>& counter, const std::array<uint32_t, 2>& key);

/// Names one family of random numbers. `stream` separates uses ("train", "shuffle", an evaluation set's name).
struct RandomKey {
  uint64_t seed = 0;
  uint64_t stream = 0;  // stream_id of the use's name
};

/// The Philox key that seed and stream are mixed into, for code that calls philox() itself.
std::array<uint32_t, 2> philox_key(const RandomKey& key);

/// A 64-bit number for a name (FNV-1a) that is the same in every build and process.
uint64_t stream_id(std::string_view name);

/// Uniform in [0, 1) with 53 random bits. draw: the prompt's ordinal in the run; sample: which completion of its
/// group; position: index of the sampled token in the completion.
double uniform(const RandomKey& key, uint64_t draw, uint32_t sample, uint32_t position);

/// Uniform integer in [0, bound), by 64-bit multiply-shift (bias below 2^-32 for bounds
/// under 2^32). REQUIRES: bound >= 1.
uint64_t uniform_below(const RandomKey& key, uint64_t draw, uint32_t index, uint64_t bound);

/// Standard normal number (Box-Muller on two uniforms of the same counter).
double normal(const RandomKey& key, uint64_t draw, uint32_t index);

/// A number from the Beta(a, b) distribution, from two Gamma numbers (Marsaglia and Tsang, "A simple method for
/// generating gamma variables", 2000). REQUIRES: a, b >= 1.
double beta(const RandomKey& key, uint64_t draw, double a, double b);

/// A permutation of 0..n-1 (Fisher-Yates with keyed numbers); `round` numbers the permutation, e.g. the epoch.
std::vector<int64_t> permutation(const RandomKey& key, uint64_t round, int64_t n);

}  // namespace grpo::base

#include "grpo/base/random.h"

#include <cmath>
#include <numbers>
#include <numeric>

namespace grpo::base {
namespace {

// The finaliser of SplitMix64. It mixes seed and stream into the 64-bit Philox key.
uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

std::array<uint32_t, 4> block(const RandomKey& key, uint64_t draw, uint32_t sample, uint32_t position) {
  return philox({static_cast<uint32_t>(draw), static_cast<uint32_t>(draw >> 32), sample, position}, philox_key(key));
}

double to_unit(uint32_t high, uint32_t low) {
  const uint64_t bits = (static_cast<uint64_t>(high) << 32 | low) >> 11;
  return static_cast<double>(bits) * 0x1.0p-53;
}

}  // namespace

std::array<uint32_t, 4> philox(const std::array<uint32_t, 4>& counter, const std::array<uint32_t, 2>& key) {
  std::array<uint32_t, 4> c = counter;
  std::array<uint32_t, 2> k = key;
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = static_cast<uint64_t>(0xD2511F53u) * c[0];
    const uint64_t product1 = static_cast<uint64_t>(0xCD9E8D57u) * c[2];
    c = {static_cast<uint32_t>(product1 >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(product1),
         static_cast<uint32_t>(product0 >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(product0)};
    k[0] += 0x9E3779B9u;
    k[1] += 0xBB67AE85u;
  }
  return c;
}

std::array<uint32_t, 2> philox_key(const RandomKey& key) {
  const uint64_t mixed = mix(key.seed ^ mix(key.stream));
  return {static_cast<uint32_t>(mixed), static_cast<uint32_t>(mixed >> 32)};
}

uint64_t stream_id(std::string_view name) {
  uint64_t hash = 0xCBF29CE484222325ull;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;
  return hash;
}

double uniform(const RandomKey& key, uint64_t draw, uint32_t sample, uint32_t position) {
  const auto words = block(key, draw, sample, position);
  return to_unit(words[0], words[1]);
}

uint64_t uniform_below(const RandomKey& key, uint64_t draw, uint32_t index, uint64_t bound) {
  const auto words = block(key, draw, index, 0);
  const uint64_t bits = static_cast<uint64_t>(words[0]) << 32 | words[1];
  return static_cast<uint64_t>((static_cast<unsigned __int128>(bits) * bound) >> 64);
}

double normal(const RandomKey& key, uint64_t draw, uint32_t index) {
  const auto words = block(key, draw, index, 0);
  const double radius = std::sqrt(-2.0 * std::log1p(-to_unit(words[0], words[1])));
  return radius * std::cos(2.0 * std::numbers::pi * to_unit(words[2], words[3]));
}

namespace {

// A Gamma(shape, 1) number for shape >= 1. `which` is 0 or 1: tries use the indices which, which + 2, ..., so the two
// numbers of a beta() share none.
double gamma(const RandomKey& key, uint64_t draw, uint32_t which, double shape) {
  const double d = shape - 1.0 / 3.0;
  for (uint32_t index = which;; index += 2) {
    const double x = normal(key, draw, index);
    const double root = 1.0 + x / std::sqrt(9.0 * d);
    if (root <= 0.0) continue;
    const double v = root * root * root;
    const double u = uniform(key, draw, index, 1);
    if (std::log1p(-u) < 0.5 * x * x + d * (1.0 - v + std::log(v))) return d * v;
  }
}

}  // namespace

double beta(const RandomKey& key, uint64_t draw, double a, double b) {
  const double first = gamma(key, draw, 0, a);
  return first / (first + gamma(key, draw, 1, b));
}

std::vector<int64_t> permutation(const RandomKey& key, uint64_t round, int64_t n) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = n - 1; i > 0; --i) {
    const auto j = uniform_below(key, round, static_cast<uint32_t>(i), static_cast<uint64_t>(i + 1));
    std::swap(order[static_cast<size_t>(i)], order[j]);
  }
  return order;
}

}  // namespace grpo::base

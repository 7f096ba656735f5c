#include "io/hasher.h"

#include <xxhash.h>

#include <cstdio>

namespace grpo::io {

Hasher::Hasher() : state_(XXH3_createState()) { XXH3_128bits_reset(state_); }

Hasher::~Hasher() { XXH3_freeState(state_); }

void Hasher::add(std::string_view bytes) {
  XXH3_128bits_update(state_, bytes.data(), bytes.size());
  bytes_ += bytes.size();
}

std::string Hasher::digest() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_);
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return text;
}

}  // namespace grpo::io

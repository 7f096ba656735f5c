#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct XXH3_state_s;

namespace grpo::io {

/// XXH3-128 of bytes that are added piece by piece.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void add(std::string_view bytes);
  uint64_t bytes() const { return bytes_; }
  std::string digest() const;  // 32 hex digits

 private:
  XXH3_state_s* state_;
  uint64_t bytes_ = 0;
};

}  // namespace grpo::io

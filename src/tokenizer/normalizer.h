#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace grpo::tokenizer {

/// Rewrites a text before it is split into pieces: the "normalizer" of tokenizer.json.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// text: valid UTF-8, and so is the result.
  virtual std::string apply(std::string text) const = 0;
};

/// NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip, ByteLevel and Sequence; null gives a null pointer.
/// Throws base::IoError naming an unsupported type.
std::unique_ptr<Normalizer> make_normalizer(const nlohmann::json& config);

}  // namespace grpo::tokenizer

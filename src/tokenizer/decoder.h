#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace grpo::tokenizer {

/// Turns the texts of tokens into readable text: the "decoder" of tokenizer.json. apply() rewrites the list, which the
/// next step of a sequence takes up; the caller joins what the last step leaves.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};

/// ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace, BPEDecoder and Sequence; null joins with spaces.
/// Throws base::IoError naming an unsupported type.
std::unique_ptr<Decoder> make_decoder(const nlohmann::json& config);

}  // namespace grpo::tokenizer

#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

namespace grpo::tokenizer {

/// The special tokens that the "post_processor" of tokenizer.json puts around a single text.
struct SpecialAffixes {
  std::vector<int64_t> prefix, suffix;
};

/// TemplateProcessing, ByteLevel (adds nothing) and Sequence; null adds nothing. Throws base::IoError naming an
/// unsupported type.
SpecialAffixes special_affixes(const nlohmann::json& config);

}  // namespace grpo::tokenizer

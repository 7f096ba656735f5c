#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/regex.h"

namespace grpo::tokenizer {

/// A text and its pieces, in order and not overlapping; what no piece covers is dropped. Merges stay inside a piece.
struct Pieces {
  std::string text;  // valid UTF-8
  std::vector<TextRange> ranges;
  bool starts_input = false;  // the text starts where the whole input starts

  std::string_view piece(const TextRange& range) const {
    return std::string_view(text).substr(range.begin, range.size());
  }
};

/// Refines pieces: the "pre_tokenizer" of tokenizer.json.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Pieces& pieces) const = 0;
};

/// Split, ByteLevel, Digits, Metaspace, Whitespace, WhitespaceSplit and Sequence; null gives a null pointer.
/// Throws base::IoError naming an unsupported type.
std::unique_ptr<PreTokenizer> make_pre_tokenizer(const nlohmann::json& config);

}  // namespace grpo::tokenizer

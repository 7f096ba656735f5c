#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace grpo::tokenizer {

/// Pairs of token texts in order of rank, kept in one block.
class MergeList {
 public:
  void add(std::string_view left, std::string_view right);
  size_t size() const { return ends_.size() / 2; }
  std::string_view left(size_t rank) const { return part(2 * rank); }
  std::string_view right(size_t rank) const { return part(2 * rank + 1); }

 private:
  std::string_view part(size_t index) const;
  std::string text_;
  std::vector<size_t> ends_;
};

/// A tokenizer.json. The vocabulary and the merges go straight into their own structures, since a document tree of so
/// many entries would be far slower to make and far larger.
struct TokenizerFile {
  nlohmann::json config;  // the document without model.vocab and model.merges
  Vocabulary vocabulary;
  MergeList merges;
};

/// text: the document. Merges may be "a b" or ["a", "b"]. Throws base::IoError saying what is malformed and where.
TokenizerFile parse_tokenizer_json(std::string_view text);

}  // namespace grpo::tokenizer

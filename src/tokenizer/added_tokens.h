#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tokenizer/normalizer.h"
#include "tokenizer/regex.h"
#include "tokenizer/vocabulary.h"

namespace grpo::tokenizer {

/// One entry of "added_tokens": text that is recognised before the model sees the rest.
struct AddedToken {
  int64_t id = 0;
  std::string content;
  std::string text = {};                         // what the token decodes to: the content, normalised if the token is
  bool special = false;                          // decode() may leave it out, encode() may read it as plain text
  bool normalized = true;                        // looked for in the normalised text
  bool single_word = false;                      // only where no word character touches it
  bool left_strip = false, right_strip = false;  // takes the white space beside it along
};

/// A stretch of text: an added token (id >= 0) or text in between (id < 0).
struct Segment {
  TextRange range;
  int64_t id = -1;
};

/// A set of texts, of which it finds the longest one at a position of another text.
class TokenTrie {
 public:
  /// The first value given for a text counts.
  void add(std::string_view text, size_t value);
  struct Match {
    size_t length = 0;  // 0: none
    size_t value = 0;
  };
  /// The longest text that starts at `position`.
  Match longest_at(std::string_view text, size_t position) const;

 private:
  struct Edge {
    unsigned char byte;
    uint32_t node;
  };
  struct Node {
    std::vector<Edge> edges;
    std::optional<size_t> value;
  };
  std::vector<Node> nodes_{1};
  std::array<bool, 256> starts_{};  // bytes that some text starts with
};

class AddedTokens {
 public:
  AddedTokens() = default;
  /// tokens: the "added_tokens" list; the first of equal contents counts. normalizer (may be null): applied to the
  /// contents of normalised tokens. As in Hugging Face's tokenizers, a token of the vocabulary keeps its id there and
  /// the others are numbered on from the vocabulary's size; published files agree with that.
  AddedTokens(const nlohmann::json& tokens, const Normalizer* normalizer, const Vocabulary& vocabulary);

  /// Splits text at the added tokens that are looked for before (or after) normalisation. With `parse_specials` false,
  /// special tokens are plain text.
  std::vector<Segment> split(std::string_view text, bool after_normalization, bool parse_specials) const;

  std::optional<int64_t> id(std::string_view content) const;
  const AddedToken* find(int64_t id) const;
  bool is_special(std::string_view text) const { return special_.contains(std::string(text)); }
  int64_t id_end() const { return id_end_; }

 private:
  bool accepts(const AddedToken& token, std::string_view text, const TextRange& range) const;

  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, size_t> by_content_;
  std::unordered_map<int64_t, size_t> by_id_;
  std::unordered_set<std::string> special_;
  TokenTrie before_, after_;
  int64_t id_end_ = 0;
};

}  // namespace grpo::tokenizer

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/merge_table.h"
#include "tokenizer/tokenizer_file.h"
#include "tokenizer/vocabulary.h"

namespace grpo::tokenizer {

/// Byte-pair encoding (Sennrich et al. 2016) of one piece: characters become tokens, then of all neighbouring pairs
/// the one with the lowest rank merges, the leftmost first, until none is left. O(n log n) in the length of the piece.
class Bpe {
 public:
  /// Takes vocabulary and merges out of the file; the other model fields are read from file.config.
  /// Throws base::IoError when a merge names a token that is not in the vocabulary, or an option is not supported.
  explicit Bpe(TokenizerFile& file);

  const Vocabulary& vocabulary() const { return vocabulary_; }

  /// Appends the ids of a piece of valid UTF-8. Characters without a token become their bytes (byte_fallback), the
  /// unknown token (unk_token), or nothing.
  void encode(std::string_view piece, std::vector<int64_t>& ids) const;

 private:
  void build_merges(const MergeList& merges);
  void build_characters();
  void initial_tokens(std::string_view piece, std::vector<int32_t>& tokens) const;
  std::string with_affixes(std::string_view character, bool first, bool last) const;
  bool append_bytes(std::string_view text, std::vector<int32_t>& tokens) const;
  void merge_short(std::vector<int32_t>& tokens) const;
  void merge_long(std::vector<int32_t>& tokens) const;

  Vocabulary vocabulary_;
  MergeTable merges_{0};
  std::vector<int32_t> basic_characters_;   // [65536] code point to id, or -1
  std::array<int32_t, 256> byte_tokens_{};  // id of <0x00> ... <0xFF>, or -1
  std::string continuing_prefix_, end_of_word_suffix_;
  std::optional<int32_t> unknown_;
  bool byte_fallback_ = false, fuse_unknown_ = false, ignore_merges_ = false;
};

}  // namespace grpo::tokenizer

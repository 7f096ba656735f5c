#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grpo/tokenizer/tokenizer.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/decoder.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"

namespace grpo::tokenizer {

/// The pipeline of a tokenizer.json: added tokens, normaliser, pre-tokenizer, BPE; and back through the decoder.
class HfTokenizer : public Tokenizer {
 public:
  /// json: the text of a tokenizer.json. Throws base::IoError (without a file name) or nlohmann::json::exception.
  explicit HfTokenizer(std::string_view json);

  std::vector<int64_t> encode(std::string_view text, bool parse_specials) const override;
  std::string decode(std::span<const int64_t> ids, bool skip_special) const override;
  std::optional<int64_t> token_id(std::string_view token) const override;
  std::optional<std::string> token(int64_t id) const override;
  bool is_special(int64_t id) const override;
  int64_t vocab_size() const override;

 private:
  explicit HfTokenizer(TokenizerFile file);
  void encode_unnormalized(std::string_view text, bool starts_input, bool parse_specials,
                           std::vector<int64_t>& ids) const;
  void encode_plain(std::string text, bool starts_input, std::vector<int64_t>& ids) const;

  Bpe model_;
  std::unique_ptr<Normalizer> normalizer_;       // may be null
  std::unique_ptr<PreTokenizer> pre_tokenizer_;  // may be null
  std::unique_ptr<Decoder> decoder_;
  AddedTokens added_;
};

}  // namespace grpo::tokenizer

#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace grpo::tokenizer {

/// Text <-> ids of a published model. Immutable after loading; every const member may be called from many threads.
class Tokenizer {
 public:
  /// path: a folder with tokenizer.json(.xz) or tokenizer.model (the first is preferred), or one of these files.
  /// tokenizer_config.json beside it, if any, names the end-of-sequence token. Whether a BOS is put before a text is
  /// said by the post-processor of a tokenizer.json, as in transformers 5, and for a tokenizer.model by add_bos_token.
  /// Throws base::IoError naming the file and the component that is malformed or not supported.
  static std::unique_ptr<Tokenizer> load(const std::filesystem::path& path);
  /// Whether a folder has one of the files that load() looks for there.
  static bool is_in(const std::filesystem::path& folder);

  virtual ~Tokenizer() = default;

  /// Ids of the text; no BOS or EOS is added. Special tokens written in the text are recognised unless `parse_specials`
  /// is false, which reads them as plain text (other added tokens are recognised still; a tokenizer.model never
  /// recognises its control symbols). Bytes that are not UTF-8 count as U+FFFD.
  virtual std::vector<int64_t> encode(std::string_view text, bool parse_specials = true) const = 0;

  /// The text of the ids in valid UTF-8: bytes that form no character become U+FFFD. Ids without a token are left out,
  /// and with `skip_special` special tokens too.
  virtual std::string decode(std::span<const int64_t> ids, bool skip_special = false) const = 0;

  /// The id of exactly this token (its text in the vocabulary, or an added token).
  virtual std::optional<int64_t> token_id(std::string_view token) const = 0;
  /// The token's text in the vocabulary.
  virtual std::optional<std::string> token(int64_t id) const = 0;
  virtual bool is_special(int64_t id) const = 0;

  /// One more than the largest id, added tokens included. A model's embedding may have more rows.
  virtual int64_t vocab_size() const = 0;

  /// What is put before a text when special tokens are added: the BOS, or nothing.
  const std::vector<int64_t>& bos_prefix() const { return bos_prefix_; }
  /// The end-of-sequence token of tokenizer_config.json or tokenizer.model, if known.
  std::optional<int64_t> eos_id() const { return eos_id_; }
  /// encode() with special tokens recognised, and with bos_prefix() in front unless the ids begin with it already.
  std::vector<int64_t> encode_with_bos(std::string_view text) const;

 protected:
  std::vector<int64_t> bos_prefix_;
  std::optional<int64_t> eos_id_;
};

}  // namespace grpo::tokenizer

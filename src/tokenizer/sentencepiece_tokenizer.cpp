#include "tokenizer/sentencepiece_tokenizer.h"

#include <sentencepiece_processor.h>

#include "grpo/base/error.h"
#include "grpo/io/file_kind.h"

namespace grpo::tokenizer {
namespace {

class SentencePieceTokenizer : public Tokenizer {
 public:
  explicit SentencePieceTokenizer(std::string_view model) {
    check(processor_.LoadFromSerializedProto(model), model);
    if (processor_.bos_id() >= 0) bos_prefix_ = {processor_.bos_id()};
    if (processor_.eos_id() >= 0) eos_id_ = processor_.eos_id();
  }

  std::vector<int64_t> encode(std::string_view text, bool) const override {
    std::vector<int> ids;
    check(processor_.Encode(text, &ids));
    return {ids.begin(), ids.end()};
  }

  std::string decode(std::span<const int64_t> ids, bool skip_special) const override {
    std::vector<int> known;
    known.reserve(ids.size());
    for (const int64_t id : ids) {
      if (is_known(id) && !(skip_special && is_special(id))) known.push_back(static_cast<int>(id));
    }
    std::string text;
    check(processor_.Decode(known, &text));
    return text;
  }

  std::optional<int64_t> token_id(std::string_view token) const override {
    const int id = processor_.PieceToId(token);
    return processor_.IdToPiece(id) == token ? std::optional<int64_t>(id) : std::nullopt;
  }

  std::optional<std::string> token(int64_t id) const override {
    return is_known(id) ? std::optional(processor_.IdToPiece(static_cast<int>(id))) : std::nullopt;
  }

  bool is_special(int64_t id) const override { return is_known(id) && processor_.IsControl(static_cast<int>(id)); }

  int64_t vocab_size() const override { return processor_.GetPieceSize(); }

 private:
  static void check(const sentencepiece::util::Status& status, std::string_view model = {}) {
    if (!status.ok()) throw base::IoError("sentencepiece: " + status.ToString() + io::kind_hint(model));
  }
  bool is_known(int64_t id) const { return id >= 0 && id < processor_.GetPieceSize(); }

  sentencepiece::SentencePieceProcessor processor_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(std::string_view model) {
  return std::make_unique<SentencePieceTokenizer>(model);
}

}  // namespace grpo::tokenizer

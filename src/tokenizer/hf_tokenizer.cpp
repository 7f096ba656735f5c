#include "tokenizer/hf_tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tokenizer/component.h"
#include "tokenizer/post_processor.h"
#include "tokenizer/unicode.h"

namespace grpo::tokenizer {
namespace {

const nlohmann::json& component(const TokenizerFile& file, const char* name) {
  static const nlohmann::json kNull;
  const auto found = file.config.find(name);
  return found == file.config.end() ? kNull : *found;
}

TokenizerFile checked(TokenizerFile file) {
  const auto model = file.config.find("model");
  if (model == file.config.end() || !model->is_object()) throw base::IoError("\"model\" is missing");
  // Files of early versions have no type; they are BPE if they have merges.
  const std::string type = model->contains("type")  ? component_type(*model)
                           : file.merges.size() > 0 ? "BPE"
                                                    : "unknown";
  if (type != "BPE") unsupported_component("model", type + " (BPE is)");
  for (const char* part : {"vocab", "merges"}) {  // left in the document only if they are of an unexpected kind
    if (model->contains(part))
      throw base::IoError(base::concat("model.", part, ": expected ", *part == 'v' ? "an object" : "a list"));
  }
  if (file.vocabulary.num_tokens() == 0) throw base::IoError("\"model.vocab\" is missing or empty");
  return file;
}

}  // namespace

HfTokenizer::HfTokenizer(std::string_view json) : HfTokenizer(checked(parse_tokenizer_json(json))) {}

HfTokenizer::HfTokenizer(TokenizerFile file)
    : model_(file),
      normalizer_(make_normalizer(component(file, "normalizer"))),
      pre_tokenizer_(make_pre_tokenizer(component(file, "pre_tokenizer"))),
      decoder_(make_decoder(component(file, "decoder"))) {
  if (const auto& tokens = component(file, "added_tokens"); !tokens.is_null()) {
    added_ = AddedTokens(tokens, normalizer_.get(), model_.vocabulary());
  }
  bos_prefix_ = special_affixes(component(file, "post_processor")).prefix;
}

std::vector<int64_t> HfTokenizer::encode(std::string_view text, bool parse_specials) const {
  std::string valid;
  if (!is_valid_utf8(text)) {
    valid = to_valid_utf8(std::string(text));
    text = valid;
  }
  std::vector<int64_t> ids;
  ids.reserve(text.size() / 3 + 8);
  for (const Segment& segment : added_.split(text, false, parse_specials)) {
    if (segment.id >= 0) {
      ids.push_back(segment.id);
    } else {
      encode_unnormalized(text.substr(segment.range.begin, segment.range.size()), segment.range.begin == 0,
                          parse_specials, ids);
    }
  }
  return ids;
}

void HfTokenizer::encode_unnormalized(std::string_view text, bool starts_input, bool parse_specials,
                                      std::vector<int64_t>& ids) const {
  std::string normal(text);
  if (normalizer_ != nullptr) normal = normalizer_->apply(std::move(normal));
  for (const Segment& segment : added_.split(normal, true, parse_specials)) {
    if (segment.id >= 0) {
      ids.push_back(segment.id);
    } else if (segment.range.size() == normal.size()) {
      encode_plain(std::move(normal), starts_input, ids);
      return;
    } else {
      encode_plain(normal.substr(segment.range.begin, segment.range.size()), starts_input && segment.range.begin == 0,
                   ids);
    }
  }
}

void HfTokenizer::encode_plain(std::string text, bool starts_input, std::vector<int64_t>& ids) const {
  const size_t size = text.size();
  Pieces pieces{std::move(text), {{0, size}}, starts_input};
  if (pre_tokenizer_ != nullptr) pre_tokenizer_->apply(pieces);
  for (const TextRange& range : pieces.ranges) model_.encode(pieces.piece(range), ids);
}

std::string HfTokenizer::decode(std::span<const int64_t> ids, bool skip_special) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const int64_t id : ids) {
    auto text = token(id);
    if (text && !(skip_special && added_.is_special(*text))) tokens.push_back(*std::move(text));
  }
  decoder_->apply(tokens);
  if (tokens.size() == 1) return std::move(tokens[0]);
  std::string text;
  for (const auto& token : tokens) text += token;
  return text;
}

std::optional<int64_t> HfTokenizer::token_id(std::string_view token) const {
  if (const auto id = added_.id(token)) return id;
  return model_.vocabulary().id(token);
}

std::optional<std::string> HfTokenizer::token(int64_t id) const {
  if (const AddedToken* token = added_.find(id)) return token->text;
  const auto text = model_.vocabulary().token(id);
  return text ? std::optional(std::string(*text)) : std::nullopt;
}

bool HfTokenizer::is_special(int64_t id) const {
  const auto text = token(id);
  return text && added_.is_special(*text);
}

int64_t HfTokenizer::vocab_size() const { return std::max(model_.vocabulary().id_end(), added_.id_end()); }

}  // namespace grpo::tokenizer

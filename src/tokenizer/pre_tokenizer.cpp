#include "tokenizer/pre_tokenizer.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "tokenizer/byte_level.h"
#include "tokenizer/component.h"
#include "tokenizer/split.h"

namespace grpo::tokenizer {
namespace {

/// Replaces the text of the pieces by what rewrite(piece, text, whether it starts the input) appends for each piece.
template <typename Rewrite>
void rewrite_pieces(Pieces& pieces, Rewrite rewrite) {
  std::string text;
  text.reserve(pieces.text.size() * 2);
  pieces.starts_input = pieces.starts_input && !pieces.ranges.empty() && pieces.ranges.front().begin == 0;
  for (TextRange& range : pieces.ranges) {
    const size_t begin = text.size();
    rewrite(pieces.piece(range), text, pieces.starts_input && &range == pieces.ranges.data());
    range = {begin, text.size()};
  }
  pieces.text = std::move(text);
}

/// Splits like GPT-2, then writes each byte as one character of the byte-level alphabet.
class ByteLevel : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, bool use_regex) : add_prefix_space_(add_prefix_space) {
    if (use_regex) {
      split_.emplace(Regex(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"),
                     SplitBehavior::kIsolated);
    }
  }

  void apply(Pieces& pieces) const override {
    if (add_prefix_space_) {
      rewrite_pieces(pieces, [](std::string_view piece, std::string& text, bool) {
        if (piece[0] != ' ') text += ' ';
        text += piece;
      });
    }
    if (split_) split_->apply(pieces);
    rewrite_pieces(pieces, [](std::string_view piece, std::string& text, bool) { append_byte_level(text, piece); });
  }

 private:
  bool add_prefix_space_;
  std::optional<Split> split_;
};

/// Spaces become a visible character, which also marks the start of a word.
class Metaspace : public PreTokenizer {
 public:
  enum class PrependScheme { kAlways, kFirst, kNever };

  explicit Metaspace(const nlohmann::json& config) : replacement_(config.at("replacement").get<std::string>()) {
    const std::string scheme = config.value("prepend_scheme", "always");
    if (scheme == "never" || !bool_or(config, "add_prefix_space", true)) {
      prepend_ = PrependScheme::kNever;
    } else if (scheme == "first") {
      prepend_ = PrependScheme::kFirst;
    } else if (scheme != "always") {
      unsupported_component("Metaspace prepend_scheme", scheme);
    }
    if (bool_or(config, "split", true)) {
      split_.emplace(Regex(escape_regex(replacement_)), SplitBehavior::kMergedWithNext);
    }
  }

  void apply(Pieces& pieces) const override {
    rewrite_pieces(pieces, [&](std::string_view piece, std::string& text, bool starts_input) {
      const bool marks = prepend_ == PrependScheme::kAlways || (prepend_ == PrependScheme::kFirst && starts_input);
      if (marks && piece[0] != ' ' && !piece.starts_with(replacement_)) text += replacement_;
      for (const char c : piece) {
        if (c == ' ') {
          text += replacement_;
        } else {
          text += c;
        }
      }
    });
    if (split_) split_->apply(pieces);
  }

 private:
  std::string replacement_;
  PrependScheme prepend_ = PrependScheme::kAlways;
  std::optional<Split> split_;
};

class PreTokenizerSequence : public PreTokenizer {
 public:
  explicit PreTokenizerSequence(const nlohmann::json& configs) {
    for (const auto& config : configs) steps_.push_back(make_pre_tokenizer(config));
  }
  void apply(Pieces& pieces) const override {
    for (const auto& step : steps_) step->apply(pieces);
  }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> steps_;
};

std::unique_ptr<PreTokenizer> make_digits(bool individual) {
  // Numbers as of Unicode 17, two ranges more than the regular expressions' tables know.
  Regex digits(R"([\p{N}\x{11de0}-\x{11de9}\x{16ff4}-\x{16ff6}])");
  return std::make_unique<Split>(std::move(digits), individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
}

}  // namespace

std::unique_ptr<PreTokenizer> make_pre_tokenizer(const nlohmann::json& config) {
  if (config.is_null()) return nullptr;
  const std::string type = component_type(config);
  if (type == "Sequence") return std::make_unique<PreTokenizerSequence>(config.at("pretokenizers"));
  if (type == "Split") {
    return std::make_unique<Split>(pattern_from_json(config.at("pattern")),
                                   split_behavior(config.at("behavior").get<std::string>()),
                                   bool_or(config, "invert", false));
  }
  if (type == "ByteLevel") {
    return std::make_unique<ByteLevel>(bool_or(config, "add_prefix_space", true), bool_or(config, "use_regex", true));
  }
  if (type == "Digits") return make_digits(bool_or(config, "individual_digits", false));
  if (type == "Metaspace") return std::make_unique<Metaspace>(config);
  if (type == "Whitespace") {
    return std::make_unique<Split>(Regex(base::concat("[\\w", kJoinControls, "]+|[^\\w", kJoinControls, "\\s]+")),
                                   SplitBehavior::kRemoved, true);
  }
  if (type == "WhitespaceSplit") return std::make_unique<Split>(Regex(R"(\s)"), SplitBehavior::kRemoved);
  unsupported_component("pre_tokenizer", type);
}

}  // namespace grpo::tokenizer

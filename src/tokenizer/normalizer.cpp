#include "tokenizer/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "tokenizer/byte_level.h"
#include "tokenizer/component.h"
#include "tokenizer/unicode.h"

namespace grpo::tokenizer {
namespace {

/// A Unicode normalisation form (UAX 15). utf8proc decomposes and composes; the canonical ordering between is done
/// here, because utf8proc's exchanges neighbours and takes quadratic time on a long run of combining marks.
class UnicodeForm : public Normalizer {
 public:
  UnicodeForm(bool compose, bool compatible)
      : compose_(compose),
        decompose_(static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_STABLE |
                                                  (compatible ? UTF8PROC_COMPAT : 0))) {}

  std::string apply(std::string text) const override {
    if (is_ascii(text)) return text;
    std::string normal;
    normal.reserve(text.size());
    size_t begin = 0;
    // A character unknown to the tables is a starter that composes with nothing, so the text falls apart around it.
    for (size_t i = 0; i < text.size();) {
      const CodePoint c = code_point_at(text, i);
      if (is_unknown_to_normalization(c.value)) {
        append_form(normal, std::string_view(text).substr(begin, i - begin));
        normal.append(text, i, c.length);
        begin = i + c.length;
      }
      i += c.length;
    }
    append_form(normal, std::string_view(text).substr(begin));
    return normal;
  }

 private:
  void append_form(std::string& normal, std::string_view text) const {
    std::vector<utf8proc_int32_t> characters = decomposed(text);
    order_marks(characters);
    auto length = static_cast<utf8proc_ssize_t>(characters.size());
    if (compose_) {
      length = utf8proc_normalize_utf32(characters.data(), length,
                                        static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
    }
    for (utf8proc_ssize_t i = 0; i < length; ++i) append_utf8(normal, static_cast<char32_t>(characters[i]));
  }

  std::vector<utf8proc_int32_t> decomposed(std::string_view text) const {
    std::vector<utf8proc_int32_t> characters;
    characters.reserve(text.size());
    std::array<utf8proc_int32_t, 32> parts;  // Unicode's longest decomposition has 18
    int boundary = 0;
    for (size_t i = 0; i < text.size();) {
      const CodePoint c = code_point_at(text, i);
      i += c.length;
      const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.value), parts.data(), parts.size(),
                                                 decompose_, &boundary);
      if (count < 0) throw base::IoError(std::string("Unicode normalisation: ") + utf8proc_errmsg(count));
      characters.insert(characters.end(), parts.begin(), parts.begin() + count);
    }
    return characters;
  }

  /// Canonical ordering: each run of combining marks sorted by class, equal classes as they were.
  static void order_marks(std::vector<utf8proc_int32_t>& characters) {
    const auto combining = [](utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; };
    for (auto begin = characters.begin(); begin != characters.end();) {
      if (combining(*begin) == 0) {
        ++begin;
        continue;
      }
      const auto end = std::find_if(begin, characters.end(), [&](auto c) { return combining(c) == 0; });
      std::stable_sort(begin, end, [&](auto a, auto b) { return combining(a) < combining(b); });
      begin = end;
    }
  }

  bool compose_;
  utf8proc_option_t decompose_;
};

class Lowercase : public Normalizer {
 public:
  std::string apply(std::string text) const override { return to_lower(text); }
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  std::string apply(std::string text) const override { return text.empty() ? text : prefix_ + text; }

 private:
  std::string prefix_;
};

class ReplacePattern : public Normalizer {
 public:
  ReplacePattern(Regex pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}

  std::string apply(std::string text) const override {
    std::vector<TextRange> matches;
    pattern_.find_all(text, matches);
    if (matches.empty()) return text;
    std::string replaced;
    size_t end = 0;
    for (const TextRange& match : matches) {
      replaced.append(text, end, match.begin - end).append(content_);
      end = match.end;
    }
    return replaced.append(text, end);
  }

 private:
  Regex pattern_;
  std::string content_;
};

/// ReplacePattern for a fixed text, without a regular expression: Llama 2 turns the spaces of every prompt into U+2581.
class ReplaceText : public Normalizer {
 public:
  ReplaceText(std::string from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}

  std::string apply(std::string text) const override {
    size_t next = from_.empty() ? std::string::npos : text.find(from_);
    if (next == std::string::npos) return text;
    std::string replaced;
    replaced.reserve(text.size() * 2);
    size_t end = 0;
    for (; next != std::string::npos; next = text.find(from_, end)) {
      replaced.append(text, end, next - end).append(to_);
      end = next + from_.size();
    }
    return replaced.append(text, end);
  }

 private:
  std::string from_, to_;
};

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  std::string apply(std::string text) const override {
    std::string_view stripped = text;
    if (left_) stripped = strip_white_space_left(stripped);
    if (right_) stripped = strip_white_space_right(stripped);
    return std::string(stripped);
  }

 private:
  bool left_, right_;
};

class ByteLevelNormalizer : public Normalizer {
 public:
  std::string apply(std::string text) const override {
    std::string mapped;
    mapped.reserve(text.size() * 2);
    append_byte_level(mapped, text);
    return mapped;
  }
};

class NormalizerSequence : public Normalizer {
 public:
  explicit NormalizerSequence(const nlohmann::json& configs) {
    for (const auto& config : configs) steps_.push_back(make_normalizer(config));
  }
  std::string apply(std::string text) const override {
    for (const auto& step : steps_) text = step->apply(std::move(text));
    return text;
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> steps_;
};

std::unique_ptr<Normalizer> make_replace(const nlohmann::json& config) {
  const auto content = config.at("content").get<std::string>();
  const auto& pattern = config.at("pattern");
  if (pattern.contains("String"))
    return std::make_unique<ReplaceText>(pattern.at("String").get<std::string>(), content);
  return std::make_unique<ReplacePattern>(pattern_from_json(pattern), content);
}

}  // namespace

std::unique_ptr<Normalizer> make_normalizer(const nlohmann::json& config) {
  if (config.is_null()) return nullptr;
  const std::string type = component_type(config);
  if (type == "NFC") return std::make_unique<UnicodeForm>(true, false);
  if (type == "NFD") return std::make_unique<UnicodeForm>(false, false);
  if (type == "NFKC") return std::make_unique<UnicodeForm>(true, true);
  if (type == "NFKD") return std::make_unique<UnicodeForm>(false, true);
  if (type == "Lowercase") return std::make_unique<Lowercase>();
  if (type == "Prepend") return std::make_unique<Prepend>(config.at("prepend").get<std::string>());
  if (type == "Replace") return make_replace(config);
  if (type == "Strip") {
    return std::make_unique<Strip>(bool_or(config, "strip_left", true), bool_or(config, "strip_right", true));
  }
  if (type == "ByteLevel") return std::make_unique<ByteLevelNormalizer>();
  if (type == "Sequence") return std::make_unique<NormalizerSequence>(config.at("normalizers"));
  unsupported_component("normalizer", type);
}

}  // namespace grpo::tokenizer

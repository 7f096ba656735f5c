#include "tokenizer/decoder.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "tokenizer/byte_level.h"
#include "tokenizer/component.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/unicode.h"

namespace grpo::tokenizer {
namespace {

std::string joined(const std::vector<std::string>& tokens) {
  std::string text;
  for (const auto& token : tokens) text += token;
  return text;
}

class ByteLevelDecoder : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const auto& token : tokens) append_bytes_of_token(bytes, token);
    tokens = {to_valid_utf8(std::move(bytes))};
  }
};

/// The Replace normaliser, token by token.
class ReplaceDecoder : public Decoder {
 public:
  explicit ReplaceDecoder(const nlohmann::json& config) : replace_(make_normalizer(config)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (auto& token : tokens) token = replace_->apply(std::move(token));
  }

 private:
  std::unique_ptr<Normalizer> replace_;
};

/// <0x41> tokens become bytes; a run of them that is not UTF-8 becomes one U+FFFD for each.
class ByteFallback : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> texts;
    std::string run;
    const auto flush = [&] {
      if (is_valid_utf8(run)) {
        if (!run.empty()) texts.push_back(run);
      } else {
        texts.insert(texts.end(), run.size(), "\ufffd");
      }
      run.clear();
    };
    for (auto& token : tokens) {
      if (const auto byte = byte_of(token)) {
        run += *byte;
      } else {
        flush();
        texts.push_back(std::move(token));
      }
    }
    flush();
    tokens = std::move(texts);
  }

 private:
  static std::optional<char> byte_of(const std::string& token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
    unsigned value = 0;
    const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
    if (error != std::errc() || end != token.data() + 5) return std::nullopt;
    return static_cast<char>(value);
  }
};

class Fuse : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override { tokens = {joined(tokens)}; }
};

/// Removes `content` up to `start` times from the beginning of each token and up to `stop` times from its end.
class StripDecoder : public Decoder {
 public:
  StripDecoder(std::string content, size_t start, size_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}

  void apply(std::vector<std::string>& tokens) const override {
    for (auto& token : tokens) {
      std::string_view text = token;
      for (size_t i = 0; i < start_ && text.starts_with(content_); ++i) text.remove_prefix(content_.size());
      for (size_t i = 0; i < stop_ && text.ends_with(content_); ++i) text.remove_suffix(content_.size());
      token = std::string(text);
    }
  }

 private:
  std::string content_;
  size_t start_, stop_;
};

/// The visible space becomes a space; in the first token it is dropped if the start of a text is marked with it, too.
class MetaspaceDecoder : public Decoder {
 public:
  explicit MetaspaceDecoder(const nlohmann::json& config)
      : replacement_(config.at("replacement").get<std::string>()),
        marks_first_(config.value("prepend_scheme", "always") != "never" && bool_or(config, "add_prefix_space", true)) {
  }

  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      const std::string_view space = i == 0 && marks_first_ ? "" : " ";
      std::string text;
      for (size_t at = 0; at < tokens[i].size();) {
        const bool mark = tokens[i].compare(at, replacement_.size(), replacement_) == 0;
        text += mark ? space : std::string_view(tokens[i]).substr(at, 1);
        at += mark ? replacement_.size() : 1;
      }
      tokens[i] = std::move(text);
    }
  }

 private:
  std::string replacement_;
  bool marks_first_;
};

/// The end-of-word suffix becomes a space, in the last token nothing.
class SuffixDecoder : public Decoder {
 public:
  explicit SuffixDecoder(std::string suffix) : suffix_(std::move(suffix)) {}

  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      const std::string space = i + 1 == tokens.size() ? "" : " ";
      for (size_t at = tokens[i].find(suffix_); at != std::string::npos; at = tokens[i].find(suffix_, at)) {
        tokens[i].replace(at, suffix_.size(), space);
        at += space.size();
      }
    }
  }

 private:
  std::string suffix_;
};

class JoinWithSpaces : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 1; i < tokens.size(); ++i) tokens[i].insert(0, 1, ' ');
  }
};

class DecoderSequence : public Decoder {
 public:
  explicit DecoderSequence(const nlohmann::json& configs) {
    for (const auto& config : configs) steps_.push_back(make_decoder(config));
  }
  void apply(std::vector<std::string>& tokens) const override {
    for (const auto& step : steps_) step->apply(tokens);
  }

 private:
  std::vector<std::unique_ptr<Decoder>> steps_;
};

}  // namespace

std::unique_ptr<Decoder> make_decoder(const nlohmann::json& config) {
  if (config.is_null()) return std::make_unique<JoinWithSpaces>();
  const std::string type = component_type(config);
  if (type == "ByteLevel") return std::make_unique<ByteLevelDecoder>();
  if (type == "Replace") return std::make_unique<ReplaceDecoder>(config);
  if (type == "ByteFallback") return std::make_unique<ByteFallback>();
  if (type == "Fuse") return std::make_unique<Fuse>();
  if (type == "Metaspace") return std::make_unique<MetaspaceDecoder>(config);
  if (type == "Strip") {
    return std::make_unique<StripDecoder>(config.at("content").get<std::string>(), config.at("start").get<size_t>(),
                                          config.at("stop").get<size_t>());
  }
  if (type == "BPEDecoder") return std::make_unique<SuffixDecoder>(config.value("suffix", "</w>"));
  if (type == "Sequence") return std::make_unique<DecoderSequence>(config.at("decoders"));
  unsupported_component("decoder", type);
}

}  // namespace grpo::tokenizer

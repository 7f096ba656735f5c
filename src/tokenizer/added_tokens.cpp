#include "tokenizer/added_tokens.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "tokenizer/component.h"
#include "tokenizer/unicode.h"

namespace grpo::tokenizer {
namespace {

// Of a token. At each place of a text up to so many bytes are compared; published tokens have less than 100.
constexpr size_t kMaxBytes = 4096;

AddedToken parse_token(const nlohmann::json& entry) {
  auto content = entry.at("content").get<std::string>();
  if (content.size() > kMaxBytes)
    throw base::IoError(base::concat("added_tokens: a token of ", content.size(), " bytes; at most ", kMaxBytes));
  return {.content = std::move(content),
          .special = bool_or(entry, "special", false),
          .normalized = bool_or(entry, "normalized", true),
          .single_word = bool_or(entry, "single_word", false),
          .left_strip = bool_or(entry, "lstrip", false),
          .right_strip = bool_or(entry, "rstrip", false)};
}

bool matches_somewhere(const Regex& regex, std::string_view text) {
  std::vector<TextRange> found;
  regex.find_all(text, found);
  return !found.empty();
}

bool starts_with_word(std::string_view text) {
  static const Regex word(base::concat("\\A[\\w", kJoinControls, "]"));
  return !text.empty() && matches_somewhere(word, text.substr(0, code_point_at(text, 0).length));
}

bool ends_with_word(std::string_view text) {
  if (text.empty()) return false;
  size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
  return starts_with_word(text.substr(begin));
}

}  // namespace

void TokenTrie::add(std::string_view text, size_t value) {
  uint32_t node = 0;
  if (!text.empty()) starts_[static_cast<unsigned char>(text[0])] = true;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const auto& edges = nodes_[node].edges;
    const auto edge = std::find_if(edges.begin(), edges.end(), [&](const Edge& e) { return e.byte == byte; });
    if (edge != edges.end()) {
      node = edge->node;
      continue;
    }
    const auto fresh = static_cast<uint32_t>(nodes_.size());
    nodes_[node].edges.push_back({byte, fresh});
    nodes_.emplace_back();
    node = fresh;
  }
  if (!nodes_[node].value) nodes_[node].value = value;
}

TokenTrie::Match TokenTrie::longest_at(std::string_view text, size_t position) const {
  Match best;
  if (!starts_[static_cast<unsigned char>(text[position])]) return best;
  uint32_t node = 0;
  for (size_t i = position; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto& edges = nodes_[node].edges;
    const auto edge = std::find_if(edges.begin(), edges.end(), [&](const Edge& e) { return e.byte == byte; });
    if (edge == edges.end()) break;
    node = edge->node;
    if (nodes_[node].value) best = {i + 1 - position, *nodes_[node].value};
  }
  return best;
}

AddedTokens::AddedTokens(const nlohmann::json& tokens, const Normalizer* normalizer, const Vocabulary& vocabulary) {
  int64_t next_id = vocabulary.num_tokens();
  for (const auto& entry : tokens) {
    AddedToken token = parse_token(entry);
    if (token.content.empty()) continue;
    if (token.special) special_.insert(token.content);
    const size_t index = tokens_.size();
    if (!by_content_.emplace(token.content, index).second) continue;
    token.id = vocabulary.id(token.content).value_or(static_cast<int32_t>(next_id));
    next_id = std::max(next_id, token.id + 1);
    token.text = token.normalized && normalizer != nullptr ? normalizer->apply(token.content) : token.content;
    (token.normalized ? after_ : before_).add(token.text, index);
    by_id_[token.id] = index;
    id_end_ = std::max(id_end_, token.id + 1);
    tokens_.push_back(std::move(token));
  }
}

bool AddedTokens::accepts(const AddedToken& token, std::string_view text, const TextRange& range) const {
  if (!token.single_word) return true;
  return !ends_with_word(text.substr(0, range.begin)) && !starts_with_word(text.substr(range.end));
}

std::vector<Segment> AddedTokens::split(std::string_view text, bool after_normalization, bool parse_specials) const {
  const TokenTrie& trie = after_normalization ? after_ : before_;
  std::vector<Segment> segments;
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const TokenTrie::Match match = trie.longest_at(text, at);
    if (match.length == 0) {
      ++at;
      continue;
    }
    TextRange range{at, at + match.length};
    at = range.end;  // a match that is not accepted still hides the matches that overlap it
    const AddedToken& token = tokens_[match.value];
    if ((!parse_specials && is_special(token.content)) || !accepts(token, text, range)) continue;
    if (token.left_strip) range.begin = std::max(strip_white_space_right(text.substr(0, range.begin)).size(), done);
    if (token.right_strip) range.end = text.size() - strip_white_space_left(text.substr(range.end)).size();
    if (range.begin >= range.end) continue;  // white space that the token before took along
    if (range.begin > done) segments.push_back({{done, range.begin}, -1});
    segments.push_back({range, token.id});
    done = range.end;
  }
  if (done < text.size()) segments.push_back({{done, text.size()}, -1});
  return segments;
}

std::optional<int64_t> AddedTokens::id(std::string_view content) const {
  const auto found = by_content_.find(std::string(content));
  return found == by_content_.end() ? std::nullopt : std::optional(tokens_[found->second].id);
}

const AddedToken* AddedTokens::find(int64_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

}  // namespace grpo::tokenizer

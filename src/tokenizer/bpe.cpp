#include "tokenizer/bpe.h"

#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <queue>

#include "tokenizer/component.h"
#include "tokenizer/unicode.h"

namespace grpo::tokenizer {
namespace {

constexpr int32_t kNone = -1;
constexpr char32_t kBasicEnd = 0x10000;
constexpr size_t kShortPiece = 24;  // tokens; up to here a plain scan beats the queue

std::string text_or_empty(const nlohmann::json& object, const char* key) {
  const auto entry = object.find(key);
  return entry == object.end() || entry->is_null() ? "" : entry->get<std::string>();
}

std::string byte_token(unsigned byte) {
  char text[8];
  std::snprintf(text, sizeof(text), "<0x%02X>", byte);
  return text;
}

}  // namespace

Bpe::Bpe(TokenizerFile& file) : vocabulary_(std::move(file.vocabulary)) {
  const auto& model = file.config.at("model");
  if (const auto dropout = model.find("dropout"); dropout != model.end() && !dropout->is_null() && *dropout != 0.0) {
    unsupported_component("model option", "dropout");
  }
  continuing_prefix_ = text_or_empty(model, "continuing_subword_prefix");
  end_of_word_suffix_ = text_or_empty(model, "end_of_word_suffix");
  byte_fallback_ = bool_or(model, "byte_fallback", false);
  fuse_unknown_ = bool_or(model, "fuse_unk", false);
  ignore_merges_ = bool_or(model, "ignore_merges", false);
  if (const std::string unknown = text_or_empty(model, "unk_token"); !unknown.empty()) {
    unknown_ = vocabulary_.id(unknown);
    if (!unknown_) throw base::IoError("model.unk_token " + unknown + " is not in model.vocab");
  }
  for (unsigned byte = 0; byte < 256; ++byte) byte_tokens_[byte] = vocabulary_.id(byte_token(byte)).value_or(kNone);
  build_merges(file.merges);
  build_characters();
}

void Bpe::build_merges(const MergeList& merges) {
  merges_ = MergeTable(merges.size());
  std::string joined;
  const auto id_of = [&](std::string_view token, size_t rank) {
    if (const auto id = vocabulary_.id(token)) return *id;
    throw base::IoError(base::concat("model.merges[", rank, "]: token \"", token, "\" is not in model.vocab"));
  };
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const std::string_view left = merges.left(rank);
    const std::string_view right = merges.right(rank);
    joined.assign(left).append(right.substr(std::min(continuing_prefix_.size(), right.size())));
    const int32_t left_id = id_of(left, rank), right_id = id_of(right, rank);
    merges_.set(left_id, right_id, {static_cast<int32_t>(rank), id_of(joined, rank)});
  }
}

void Bpe::build_characters() {
  basic_characters_.assign(kBasicEnd, kNone);
  for (int64_t id = 0; id < vocabulary_.id_end(); ++id) {
    const auto token = vocabulary_.token(id);
    if (!token || token->empty() || token->size() > 3) continue;
    const CodePoint c = code_point_at(*token, 0);
    if (c.length == token->size() && c.value < kBasicEnd) basic_characters_[c.value] = vocabulary_.id(*token).value();
  }
}

void Bpe::encode(std::string_view piece, std::vector<int64_t>& ids) const {
  if (ignore_merges_) {
    if (const auto whole = vocabulary_.id(piece)) return ids.push_back(*whole);
  }
  thread_local std::vector<int32_t> tokens;
  tokens.clear();
  initial_tokens(piece, tokens);
  if (tokens.size() <= kShortPiece) {
    merge_short(tokens);
  } else {
    merge_long(tokens);
  }
  ids.insert(ids.end(), tokens.begin(), tokens.end());
}

void Bpe::initial_tokens(std::string_view piece, std::vector<int32_t>& tokens) const {
  bool unknown_pending = false;
  const auto flush_unknown = [&] {
    if (unknown_pending) tokens.push_back(*unknown_);
    unknown_pending = false;
  };
  const bool plain = continuing_prefix_.empty() && end_of_word_suffix_.empty();
  std::string affixed;
  for (size_t i = 0; i < piece.size();) {
    const CodePoint c = code_point_at(piece, i);
    std::string_view text = piece.substr(i, c.length);
    if (!plain) text = affixed = with_affixes(text, i == 0, i + c.length == piece.size());
    i += c.length;
    const int32_t token =
        plain && c.value < kBasicEnd ? basic_characters_[c.value] : vocabulary_.id(text).value_or(kNone);
    if (token != kNone) {
      flush_unknown();
      tokens.push_back(token);
    } else if (byte_fallback_ && append_bytes(text, tokens)) {
      continue;
    } else if (unknown_) {
      if (!fuse_unknown_) flush_unknown();
      unknown_pending = true;
    }
  }
  flush_unknown();
}

std::string Bpe::with_affixes(std::string_view character, bool first, bool last) const {
  std::string text = first ? "" : continuing_prefix_;
  text += character;
  if (last) text += end_of_word_suffix_;
  return text;
}

bool Bpe::append_bytes(std::string_view text, std::vector<int32_t>& tokens) const {
  for (const char byte : text) {
    if (byte_tokens_[static_cast<unsigned char>(byte)] == kNone) return false;
  }
  for (const char byte : text) tokens.push_back(byte_tokens_[static_cast<unsigned char>(byte)]);
  return true;
}

void Bpe::merge_short(std::vector<int32_t>& tokens) const {
  if (tokens.size() < 2) return;
  std::array<Merge, kShortPiece> pairs;  // pairs[i]: what tokens i and i + 1 become
  const auto pair_at = [&](size_t i) {
    const Merge* merge = merges_.find(tokens[i], tokens[i + 1]);
    return merge == nullptr ? Merge{} : *merge;
  };
  size_t num_pairs = tokens.size() - 1;
  for (size_t i = 0; i < num_pairs; ++i) pairs[i] = pair_at(i);
  while (num_pairs > 0) {
    size_t best = num_pairs;
    for (size_t i = 0; i < num_pairs; ++i) {
      if (pairs[i].rank >= 0 && (best == num_pairs || pairs[i].rank < pairs[best].rank)) best = i;
    }
    if (best == num_pairs) break;
    tokens[best] = pairs[best].id;
    tokens.erase(tokens.begin() + static_cast<ptrdiff_t>(best) + 1);
    for (size_t i = best; i + 1 < num_pairs; ++i) pairs[i] = pairs[i + 1];
    --num_pairs;
    if (best > 0) pairs[best - 1] = pair_at(best - 1);
    if (best < num_pairs) pairs[best] = pair_at(best);
  }
}

/// The tokens are a linked list over their first positions; the queue holds (rank, position) and entries whose pair has
/// changed since are skipped.
void Bpe::merge_long(std::vector<int32_t>& tokens) const {
  struct Link {
    uint32_t previous, next;
    Merge pair;  // with the next token
  };
  const auto end = static_cast<uint32_t>(tokens.size());
  std::vector<Link> links(end);
  std::vector<uint64_t> entries;
  entries.reserve(end);
  const auto refresh = [&](uint32_t at) {
    const uint32_t next = links[at].next;
    const Merge* merge = next == end ? nullptr : merges_.find(tokens[at], tokens[next]);
    links[at].pair = merge == nullptr ? Merge{} : *merge;
    return merge != nullptr;
  };
  const auto entry = [&](uint32_t at) { return static_cast<uint64_t>(links[at].pair.rank) << 32 | at; };
  for (uint32_t i = 0; i < end; ++i) links[i] = {i - 1, i + 1, {}};
  for (uint32_t i = 0; i < end; ++i) {
    if (refresh(i)) entries.push_back(entry(i));
  }
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> queue(std::greater<>{}, std::move(entries));
  while (!queue.empty()) {
    const uint64_t top = queue.top();
    queue.pop();
    const auto at = static_cast<uint32_t>(top);
    if (links[at].pair.rank != static_cast<int32_t>(top >> 32)) continue;
    tokens[at] = links[at].pair.id;
    const uint32_t gone = links[at].next;
    links[at].next = links[gone].next;
    if (links[at].next != end) links[links[at].next].previous = at;
    links[gone].pair = Merge{};
    tokens[gone] = kNone;
    if (refresh(at)) queue.push(entry(at));
    if (at != 0 && refresh(links[at].previous)) queue.push(entry(links[at].previous));
  }
  std::erase(tokens, kNone);
}

}  // namespace grpo::tokenizer

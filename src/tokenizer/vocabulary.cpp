#include "tokenizer/vocabulary.h"

#include <functional>

#include "grpo/base/error.h"

namespace grpo::tokenizer {
namespace {

uint32_t hash_of(std::string_view token) {
  const uint64_t hash = std::hash<std::string_view>{}(token);
  return static_cast<uint32_t>(hash ^ (hash >> 32));
}

}  // namespace

void Vocabulary::add(std::string_view token, int64_t id) {
  if (id < 0 || id > kMaxId) {
    throw base::IoError(base::concat("token id ", id, " of \"", token, "\" is out of range (0 to ", kMaxId, ")"));
  }
  if (static_cast<size_t>(id) >= entries_.size()) entries_.resize(static_cast<size_t>(id) + 1);
  entries_[id] = {static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(token.size())};
  text_ += token;
  if (2 * static_cast<size_t>(num_tokens_ + 1) > slots_.size()) grow();
  const uint32_t hash = hash_of(token);
  Slot& slot = slots_[find_slot(token, hash)];
  if (slot.id < 0) ++num_tokens_;
  slot = {hash, static_cast<int32_t>(id)};
}

std::optional<int32_t> Vocabulary::id(std::string_view token) const {
  if (slots_.empty()) return std::nullopt;
  const Slot& slot = slots_[find_slot(token, hash_of(token))];
  return slot.id < 0 ? std::nullopt : std::optional(slot.id);
}

std::optional<std::string_view> Vocabulary::token(int64_t id) const {
  if (id < 0 || id >= id_end() || entries_[id].length == kAbsent) return std::nullopt;
  return text(entries_[id]);
}

size_t Vocabulary::find_slot(std::string_view token, uint32_t hash) const {
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask;; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.id < 0 || (slot.hash == hash && text(entries_[slot.id]) == token)) return at;
  }
}

void Vocabulary::grow() {
  const std::vector<Slot> old = std::move(slots_);
  slots_.assign(old.empty() ? 1024 : 2 * old.size(), Slot{});
  const size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.id < 0) continue;
    size_t at = slot.hash & mask;
    while (slots_[at].id >= 0) at = (at + 1) & mask;
    slots_[at] = slot;
  }
}

}  // namespace grpo::tokenizer

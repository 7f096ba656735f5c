#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace grpo::update {

/// Whether sequences that begin with the same prompt have it computed once in a pass. kAuto: where sharing_pays().
enum class SharePrompts { kAuto, kTrue, kFalse };
inline std::vector<std::string> enum_names(SharePrompts) { return {"auto", "true", "false"}; }

/// The rule of kAuto, for so many sequences that have a prompt of so many tokens in common. `tokens` are those of all
/// of them, packed one by one. It knows nothing but these lengths, so that a run that is resumed or replayed decides
/// the same.
bool sharing_pays(int64_t prompt, int64_t sequences, int64_t tokens);

}  // namespace grpo::update

#include "tokenizer/split.h"

#include <algorithm>
#include <map>

#include "grpo/base/error.h"

namespace grpo::tokenizer {
namespace {

struct Part {
  TextRange range;
  bool is_match;
};

/// Matches and the text between them, covering [0, size).
void cover(const std::vector<TextRange>& matches, size_t size, bool invert, std::vector<Part>& parts) {
  size_t end = 0;
  for (const TextRange& match : matches) {
    if (match.begin > end) parts.push_back({{end, match.begin}, invert});
    parts.push_back({match, !invert});
    end = match.end;
  }
  if (end < size) parts.push_back({{end, size}, invert});
}

/// Joins a part to the one before it where joins(previous, current) is true; its arguments tell which are matches.
template <typename Joins>
void join_parts(std::vector<Part>& parts, Joins joins) {
  size_t kept = 0;
  bool previous_match = false;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Part part = parts[i];
    if (kept > 0 && joins(previous_match, part.is_match)) {
      TextRange& last = parts[kept - 1].range;
      last = {std::min(last.begin, part.range.begin), std::max(last.end, part.range.end)};
    } else {
      parts[kept++] = part;
    }
    previous_match = part.is_match;
  }
  parts.resize(kept);
}

void apply_behavior(SplitBehavior behavior, std::vector<Part>& parts) {
  const auto lone_match = [](bool previous, bool current) { return current && !previous; };
  switch (behavior) {
    case SplitBehavior::kIsolated:
      return;
    case SplitBehavior::kRemoved:
      std::erase_if(parts, [](const Part& part) { return part.is_match; });
      return;
    case SplitBehavior::kContiguous:
      return join_parts(parts, [](bool previous, bool current) { return previous == current; });
    case SplitBehavior::kMergedWithPrevious:
      return join_parts(parts, lone_match);
    case SplitBehavior::kMergedWithNext:
      std::reverse(parts.begin(), parts.end());
      join_parts(parts, lone_match);
      std::reverse(parts.begin(), parts.end());
      return;
  }
}

}  // namespace

SplitBehavior split_behavior(const std::string& name) {
  static const std::map<std::string, SplitBehavior> kNames = {
      {"Removed", SplitBehavior::kRemoved},
      {"Isolated", SplitBehavior::kIsolated},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous}};
  const auto found = kNames.find(name);
  if (found == kNames.end()) throw base::IoError("split behavior " + name + " is not supported");
  return found->second;
}

void Split::apply(Pieces& pieces) const {
  std::vector<TextRange> refined;
  refined.reserve(pieces.text.size() / 4 + pieces.ranges.size());
  std::vector<TextRange> matches;
  std::vector<Part> parts;
  for (const TextRange& range : pieces.ranges) {
    matches.clear();
    parts.clear();
    pattern_.find_all(pieces.piece(range), matches);
    cover(matches, range.size(), invert_, parts);
    apply_behavior(behavior_, parts);
    for (const Part& part : parts) {
      if (part.range.size() == 0) continue;
      refined.push_back({range.begin + part.range.begin, range.begin + part.range.end});
    }
  }
  pieces.ranges = std::move(refined);
}

}  // namespace grpo::tokenizer

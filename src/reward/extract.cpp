#include "reward/extract.h"

#include <algorithm>
#include <array>

namespace grpo::reward {
namespace {

constexpr std::array<std::string_view, 2> kBoxes = {"\\boxed{", "\\fbox{"};

// Where the brace opened just before `start` closes.
std::optional<size_t> closing_brace(std::string_view text, size_t start) {
  int depth = 1;
  for (size_t i = start; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;  // \{ and \} are no grouping
    } else if (text[i] == '{') {
      ++depth;
    } else if (text[i] == '}' && --depth == 0) {
      return i;
    }
  }
  return std::nullopt;
}

size_t last_opening(std::string_view text, size_t before, size_t& length) {
  size_t best = std::string_view::npos;
  for (const auto box : kBoxes) {
    const size_t at = text.rfind(box, before);
    if (at != std::string_view::npos && (best == std::string_view::npos || at > best)) {
      best = at;
      length = box.size();
    }
  }
  return best;
}

// Whether only separators stand between two boxes: they are then one list.
bool only_separators(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (std::string_view(" \t\n$,;").find(text[i]) != std::string_view::npos) continue;
    if (text.substr(i, 3) == "and") {
      i += 2;
    } else if (text.substr(i, 2) == "or") {
      i += 1;
    } else {
      return false;
    }
  }
  return true;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::optional<std::string> last_box(std::string_view text) {
  size_t length = 0;
  const size_t at = last_opening(text, std::string_view::npos, length);
  if (at == std::string_view::npos) return std::nullopt;
  const auto end = closing_brace(text, at + length);
  if (!end) return std::nullopt;
  return std::string(text.substr(at + length, *end - at - length));
}

std::optional<std::string> last_boxes(std::string_view text) {
  auto answer = last_box(text);
  size_t length = 0;
  size_t at = last_opening(text, std::string_view::npos, length);
  while (answer && at != std::string_view::npos && at > 0) {
    const size_t before = last_opening(text, at - 1, length);
    if (before == std::string_view::npos) break;
    const auto end = closing_brace(text.substr(0, at), before + length);
    if (!end || !only_separators(text.substr(*end + 1, at - *end - 1))) break;
    answer = std::string(text.substr(before + length, *end - before - length)) + ", " + *answer;
    at = before;
  }
  return answer;
}

std::optional<std::string> last_number(std::string_view text) {
  size_t end = text.size();
  while (end > 0 && !is_digit(text[end - 1])) --end;
  if (end == 0) return std::nullopt;
  size_t begin = end;
  while (begin > 0 && (is_digit(text[begin - 1]) || ((text[begin - 1] == '.' || text[begin - 1] == ',') && begin > 1 && is_digit(text[begin - 2])))) {
    --begin;
  }
  const bool minus = begin > 0 && text[begin - 1] == '-' && (begin == 1 || !is_digit(text[begin - 2]));
  return std::string(text.substr(begin - (minus ? 1 : 0), end - begin + (minus ? 1 : 0)));
}

std::optional<Extracted> extract_answer(std::string_view text) {
  size_t length = 0;
  if (last_opening(text, std::string_view::npos, length) != std::string_view::npos) {
    const auto box = last_boxes(text);
    if (!box) return std::nullopt;
    return Extracted{*box, "box"};
  }
  const size_t hashes = text.rfind("####");
  if (hashes != std::string_view::npos) {
    const std::string_view rest = text.substr(hashes + 4);
    return Extracted{std::string(rest.substr(0, rest.find('\n'))), "####"};
  }
  const auto number = last_number(text);
  if (!number) return std::nullopt;
  return Extracted{*number, "last number"};
}

}  // namespace grpo::reward

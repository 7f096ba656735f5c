#include "grpo/data/overlap.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace grpo::data {
namespace {

// Bytes of the UTF-8 character that begins with `lead`.
size_t length_of(unsigned char lead) {
  if (lead < 0xC0) return 1;
  if (lead < 0xE0) return 2;
  return lead < 0xF0 ? 3 : 4;
}

bool is_east_asian(unsigned char lead) { return lead >= 0xE3 && lead <= 0xED; }  // U+3000 to U+DFFF
// Characters that are neither ASCII nor letters, by their first bytes: Latin-1's signs, general punctuation and
// mathematical signs, full-width forms, and symbols; and U+3000 to U+303F, the punctuation of Chinese and Japanese.
bool is_sign(std::string_view character) {
  const auto lead = static_cast<unsigned char>(character[0]);
  return lead == 0xC2 || lead == 0xE2 || lead >= 0xEF || character.starts_with("\xE3\x80");
}

using Run = uint64_t;  // the hash of 13 words in a row

// All different runs of 13 words in a text.
std::unordered_set<Run> runs_of(const std::string& words) {
  std::vector<size_t> begins = {0};
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] == ' ') begins.push_back(i + 1);
  }
  begins.push_back(words.size() + 1);
  std::unordered_set<Run> runs;
  for (size_t i = 0; i + kOverlapWords < begins.size(); ++i) {
    const size_t length = begins[i + kOverlapWords] - 1 - begins[i];
    runs.insert(std::hash<std::string_view>()(std::string_view(words).substr(begins[i], length)));
  }
  return runs;
}

struct Place {
  size_t first = 0;  // the first problem with the run
  size_t count = 0;  // how many problems have the run
};

// In which problems of a set each run and each whole text occurs.
struct Index {
  std::unordered_map<Run, Place> runs;
  std::unordered_map<std::string, size_t> texts;

  explicit Index(const std::vector<Problem>& problems) {
    for (size_t i = 0; i < problems.size(); ++i) {
      std::string words = words_of(problems[i].prompt);
      for (const Run run : runs_of(words)) ++runs.try_emplace(run, Place{.first = i}).first->second.count;
      if (!words.empty()) texts.emplace(std::move(words), i);
    }
  }
  bool is_common(Run run) const {
    const auto found = runs.find(run);
    return found != runs.end() && found->second.count > kCommonPhrase;
  }
};

std::optional<SharedWords> shared_words(const std::string& words, const Index& trained, const Index& evaluated) {
  if (const auto same = trained.texts.find(words); same != trained.texts.end())
    return SharedWords{.trained = same->second, .share = 1.0, .is_same = true};
  size_t counted = 0, shared = 0;
  std::unordered_map<size_t, size_t> with;  // training problem -> shared runs that occur in it first
  for (const Run run : runs_of(words)) {
    if (trained.is_common(run) || evaluated.is_common(run)) continue;
    ++counted;
    const auto found = trained.runs.find(run);
    if (found == trained.runs.end()) continue;
    ++shared;
    ++with[found->second.first];
  }
  if (shared == 0) return std::nullopt;
  size_t most = with.begin()->first;
  for (const auto& [problem, count] : with) {
    if (count > with.at(most) || (count == with.at(most) && problem < most)) most = problem;
  }
  return SharedWords{.trained = most, .share = static_cast<double>(shared) / static_cast<double>(counted)};
}

}  // namespace

std::string words_of(const std::string& text) {
  std::string words;
  bool apart = false;  // whether the next character begins a new word
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = std::min(length_of(lead), text.size() - i);
    const bool east_asian = is_east_asian(lead);
    const bool is_word = lead < 0x80 ? std::isalnum(lead) != 0 : !is_sign(std::string_view(text).substr(i, length));
    if (is_word) {
      if ((apart || east_asian) && !words.empty()) words += ' ';
      if (lead < 0x80)
        words += static_cast<char>(std::tolower(lead));
      else
        words.append(text, i, length);
    }
    apart = !is_word || east_asian;
    i += length;
  }
  return words;
}

std::vector<SharedWords> find_overlap(const std::vector<Problem>& trained, const std::vector<Problem>& evaluated) {
  const Index in_training(trained), in_evaluation(evaluated);
  std::vector<SharedWords> found;
  for (size_t i = 0; i < evaluated.size(); ++i) {
    auto shared = shared_words(words_of(evaluated[i].prompt), in_training, in_evaluation);
    if (!shared) continue;
    shared->evaluated = i;
    found.push_back(*shared);
  }
  return found;
}

}  // namespace grpo::data

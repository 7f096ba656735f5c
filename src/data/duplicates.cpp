#include "grpo/data/duplicates.h"

#include <unordered_map>

namespace grpo::data {
namespace {

// Appends `text` with each run of white space as one blank and none at its ends. The final NUL keeps texts apart.
void add(std::string& all, const std::string& text) {
  const size_t begin = all.size();
  for (const char c : text) {
    const bool is_space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (!is_space) all += c;
    if (is_space && all.size() > begin && all.back() != ' ') all += ' ';
  }
  if (all.size() > begin && all.back() == ' ') all.pop_back();
  all += '\0';
}

}  // namespace

std::string compared_text(const Problem& problem) {
  std::string all;
  if (problem.messages.empty()) add(all, problem.prompt);
  for (const auto& [role, content] : problem.messages) {
    add(all, role);
    add(all, content);
  }
  if (problem.rejected.empty()) return all;
  add(all, problem.answers.front());
  add(all, problem.rejected);
  return all;
}

std::vector<Repeated> find_duplicates(const std::vector<Problem>& problems) {
  std::unordered_map<std::string, size_t> first_of;
  std::vector<Repeated> found;
  for (size_t i = 0; i < problems.size(); ++i) {
    const auto [first, is_new] = first_of.emplace(compared_text(problems[i]), i);
    if (is_new) continue;
    found.push_back(
        {.problem = i, .first = first->second, .other_answer = problems[i].answers != problems[first->second].answers});
  }
  return found;
}

}  // namespace grpo::data

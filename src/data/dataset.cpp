#include "grpo/data/dataset.h"

#include <nlohmann/json.hpp>

#include "data/problem_row.h"

namespace grpo::data {

std::vector<std::string> enum_names(OnBadRow) { return {"error", "skip"}; }
std::vector<std::string> enum_names(Duplicates) { return {"keep", "drop"}; }

std::vector<Problem> load_problems(const std::vector<std::string>& files, const std::string& prompt_key,
                                   const std::string& answer_key, const std::vector<std::string>& extra_keys,
                                   bool whole_rows) {
  const ProblemKeys keys{prompt_key, answer_key, extra_keys, whole_rows};
  std::vector<Problem> problems;
  for (const auto& file : files) {
    const auto take = [&](const FileRow& row) {
      auto problem = read_problem(row, keys);
      problem.row = static_cast<int64_t>(problems.size());
      problems.push_back(std::move(problem));
    };
    for_each_row(file, columns_of(keys), take, [](const BadRow&) { throw; });
  }
  return problems;
}

}  // namespace grpo::data

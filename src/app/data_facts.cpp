#include "app/data_facts.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "grpo/data/duplicates.h"
#include "grpo/data/overlap.h"
#include "grpo/verifier/gold.h"

namespace grpo::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kExamples = 5;  // shown of each kind

template <typename Items, typename ToJson>
Json examples_of(const Items& items, const ToJson& to_json) {
  Json list = Json::array();
  for (size_t i = 0; i < items.size() && i < kExamples; ++i) list.push_back(to_json(items[i]));
  return list;
}

int64_t characters_in(const std::string& text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

int64_t characters_of(const data::Problem& problem) {
  if (problem.messages.empty()) return characters_in(problem.prompt);
  return std::accumulate(problem.messages.begin(), problem.messages.end(), int64_t{0},
                         [](int64_t sum, const data::Message& turn) { return sum + characters_in(turn.content); });
}

std::vector<int64_t> lengths_of(const std::vector<data::Problem>& problems, const trainer::Policy* policy) {
  std::vector<int64_t> lengths;
  if (policy == nullptr) {
    for (const auto& problem : problems) lengths.push_back(characters_of(problem));
    return lengths;
  }
  int64_t dropped = 0;
  const auto prompts = trainer::make_prompts(*policy, problems, std::numeric_limits<int64_t>::max(), &dropped);
  for (const auto& prompt : prompts) lengths.push_back(static_cast<int64_t>(prompt.ids.size()));
  return lengths;
}

// Counts by powers of two; empty ranges at both ends are left out.
Json histogram_of(const std::vector<int64_t>& sorted) {
  Json bars = Json::array();
  for (int64_t from = 1; !sorted.empty() && from <= sorted.back(); from *= 2) {
    const auto count =
        std::lower_bound(sorted.begin(), sorted.end(), 2 * from) - std::lower_bound(sorted.begin(), sorted.end(), from);
    if (count > 0 || !bars.empty()) bars.push_back({{"from", from}, {"to", 2 * from - 1}, {"count", count}});
  }
  return bars;
}

Json length_facts(std::vector<int64_t> lengths, const trainer::Policy* policy) {
  std::sort(lengths.begin(), lengths.end());
  const auto at = [&](double share) {
    return lengths[static_cast<size_t>(share * static_cast<double>(lengths.size() - 1))];
  };
  const double sum = std::accumulate(lengths.begin(), lengths.end(), 0.0);
  return {{"unit", policy ? "tokens" : "characters"},
          {"template", policy ? Json(policy->chat_template->name()) : Json()},
          {"mean", sum / static_cast<double>(lengths.size())},
          {"median", at(0.5)},
          {"p90", at(0.9)},
          {"p99", at(0.99)},
          {"max", lengths.back()},
          {"histogram", histogram_of(lengths)}};
}

Json gold_facts(const std::vector<data::Problem>& problems) {
  std::vector<std::vector<std::string>> golds;
  std::map<std::string, int64_t> rules;
  for (const auto& problem : problems) {
    golds.push_back(problem.answers);
    for (const auto& gold : problem.answers) ++rules[verifier::extract_gold(gold).rule];
  }
  rules.erase("whole");
  const auto bad = verifier::check_golds(golds, verifier::default_placeholders());
  const auto missing = std::count_if(bad.begin(), bad.end(), [](const auto& gold) { return gold.missing; });
  const auto example = [&](const verifier::BadGold& gold) -> Json {
    const auto& problem = problems[gold.index];
    return {{"place", problem.place},
            {"gold", problem.answers.front()},
            {"verdict", gold.missing ? "missing" : verifier::to_string(gold.verdict.kind)},
            {"reason", gold.verdict.reason}};
  };
  return {{"taken_out_by_rule", rules},
          {"cannot_be_verified", bad.size()},
          {"missing", missing},
          {"examples", examples_of(bad, example)}};
}

Json duplicate_facts(const std::vector<data::Problem>& problems) {
  const auto found = data::find_duplicates(problems);
  const auto other = std::count_if(found.begin(), found.end(), [](const auto& again) { return again.other_answer; });
  const auto example = [&](const data::Repeated& again) -> Json {
    return {{"place", problems[again.problem].place},
            {"first", problems[again.first].place},
            {"other_answer", again.other_answer}};
  };
  return {{"count", found.size()}, {"other_answer", other}, {"examples", examples_of(found, example)}};
}

Json field_facts(const std::vector<data::SeenField>& fields) {
  Json list = Json::array();
  for (const auto& field : fields) list.push_back({{"name", field.name}, {"rows", field.rows}, {"kinds", field.kinds}});
  return list;
}

Json key_or_null(const std::string& key) { return key.empty() ? Json() : Json(key); }

}  // namespace

Json facts_of(const data::SeenFile& seen, const trainer::Policy* policy) {
  const auto same = [](const std::string& text) { return Json(text); };
  Json facts = {{"file", seen.file},
                {"rows", seen.rows},
                {"problems", seen.problems.size()},
                {"fields", field_facts(seen.fields)},
                {"prompt_key", key_or_null(seen.prompt_key)},
                {"answer_key", key_or_null(seen.answer_key)},
                {"chosen_key", key_or_null(seen.chosen_key)},
                {"rejected_key", key_or_null(seen.rejected_key)},
                {"bad_rows", {{"count", seen.bad.size()}, {"examples", examples_of(seen.bad, same)}}}};
  if (seen.problems.empty()) return facts;
  facts["length"] = length_facts(lengths_of(seen.problems, policy), policy);
  if (!seen.answer_key.empty()) facts["golds"] = gold_facts(seen.problems);
  facts["duplicates"] = duplicate_facts(seen.problems);
  return facts;
}

Json overlap_of(const data::SeenFile& trained, const data::SeenFile& evaluated) {
  auto found = data::find_overlap(trained.problems, evaluated.problems);
  const auto same = std::count_if(found.begin(), found.end(), [](const auto& shared) { return shared.is_same; });
  const auto half = std::count_if(found.begin(), found.end(), [](const auto& shared) { return shared.share >= 0.5; });
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.share > b.share; });
  const auto example = [&](const data::SharedWords& shared) -> Json {
    const auto& problem = evaluated.problems[shared.evaluated];
    return {{"evaluated", problem.place},
            {"trained", trained.problems[shared.trained].place},
            {"share", shared.share},
            {"same", shared.is_same},
            {"text", problem.prompt}};
  };
  return {{"trained", trained.file},
          {"evaluated", evaluated.file},
          {"problems", evaluated.problems.size()},
          {"words_in_a_row", data::kOverlapWords},
          {"found", found.size()},
          {"half_or_more", half},
          {"same", same},
          {"examples", examples_of(found, example)}};
}

}  // namespace grpo::app

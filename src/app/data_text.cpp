// Writes the facts of `grpo data` as text.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "app/data_facts.h"
#include "grpo/base/error.h"
#include "grpo/base/printable.h"
#include "grpo/base/text.h"

namespace grpo::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kShown = 90;  // longest excerpt of a text in bytes
constexpr int64_t kBar = 40;   // length of the longest bar

std::string text_at(const Json& object, const char* key) { return object.at(key).get<std::string>(); }
int64_t count_at(const Json& object, const char* key) { return object.at(key).get<int64_t>(); }

// A line with a name at its left; without a name it continues the line above.
std::string line(const std::string& name, const std::string& text) {
  std::string begin = "  " + name;
  begin.resize(14, ' ');
  return begin + text + "\n";
}

std::string excerpt(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  if (text.size() <= kShown) return text;
  size_t end = kShown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

bool is_of_pairs(const Json& facts) { return !facts.at("chosen_key").is_null(); }

std::string field_text(const Json& field, const Json& facts) {
  std::string text =
      text_at(field, "name") + " (" + base::join(field.at("kinds").get<std::vector<std::string>>(), " or ");
  if (field.at("rows") != facts.at("rows")) text += base::concat(" in ", count_at(field, "rows"), " rows");
  if (field.at("name") == facts.at("prompt_key")) text += ": the problem";
  if (field.at("name") == facts.at("answer_key")) text += ": the right answer";
  if (field.at("name") == facts.at("chosen_key")) text += ": the better completion";
  if (field.at("name") == facts.at("rejected_key")) text += ": the worse completion";
  return text + ")";
}

std::string fields_text(const Json& facts) {
  std::string text;
  for (const Json& field : facts.at("fields")) text += line(text.empty() ? "fields" : "", field_text(field, facts));
  if (is_of_pairs(facts)) {
    if (facts.at("prompt_key").is_null()) text += line("", "the problem is what both completions begin with");
    return text;
  }
  if (facts.at("prompt_key").is_null())
    text += line("", "no field has a problem's name; --prompt-key names it (a dot enters an object)");
  if (facts.at("answer_key").is_null())
    text += line("", "no field has an answer's name; --answer-key names it (a dot enters an object)");
  return text;
}

std::string bad_rows_text(const Json& bad) {
  if (count_at(bad, "count") == 0) return "";
  std::string text = line("bad rows", base::concat(count_at(bad, "count"), " (data.on_bad_row: skip leaves them out)"));
  for (const Json& example : bad.at("examples")) text += line("", excerpt(example.get<std::string>()));
  return text;
}

std::string bar_text(const Json& bar, int64_t most) {
  char text[96];
  const int64_t count = count_at(bar, "count");
  std::snprintf(text, sizeof text, "%7lld - %-7lld %7lld  ", static_cast<long long>(count_at(bar, "from")),
                static_cast<long long>(count_at(bar, "to")), static_cast<long long>(count));
  return text + std::string(static_cast<size_t>((count * kBar + most - 1) / most), '#');
}

std::string length_text(const Json& length) {
  char text[160];
  std::snprintf(text, sizeof text, ": mean %.1f, median %lld, 90 %% %lld, 99 %% %lld, longest %lld",
                length.at("mean").get<double>(), static_cast<long long>(count_at(length, "median")),
                static_cast<long long>(count_at(length, "p90")), static_cast<long long>(count_at(length, "p99")),
                static_cast<long long>(count_at(length, "max")));
  const std::string of = length.at("template").is_null()
                             ? "characters of the problem"
                             : "tokens of the prompt in the template " + text_at(length, "template");
  std::string all = line("length", of + text);
  int64_t most = 1;
  for (const Json& bar : length.at("histogram")) most = std::max(most, count_at(bar, "count"));
  for (const Json& bar : length.at("histogram")) all += line("", bar_text(bar, most));
  return all;
}

std::string golds_text(const Json& golds, int64_t problems) {
  const int64_t bad = count_at(golds, "cannot_be_verified");
  std::string text = line("golds", bad == 0 ? "all can be verified"
                                            : base::concat(bad, " of ", problems, " can reward no right completion (",
                                                           count_at(golds, "missing"), " are missing)"));
  for (const Json& example : golds.at("examples")) {
    text += line("", base::concat(text_at(example, "place"), ": \"", excerpt(text_at(example, "gold")), "\" (",
                                  text_at(example, "verdict"), ": ", text_at(example, "reason"), ")"));
  }
  for (const auto& [rule, count] : golds.at("taken_out_by_rule").items())
    text += line("", base::concat(count.get<int64_t>(), " taken out of longer texts by the rule ", rule));
  return text;
}

std::string duplicates_text(const Json& found, bool pairs) {
  if (count_at(found, "count") == 0) return line("duplicates", "none");
  const std::string others =
      pairs ? "" : base::concat(", ", count_at(found, "other_answer"), " of them with another right answer");
  std::string text = line("duplicates", base::concat(count_at(found, "count"), pairs ? " pairs" : " problems",
                                                     " repeat an earlier one", others));
  for (const Json& example : found.at("examples")) {
    text += line("", base::concat(text_at(example, "place"), " repeats ", text_at(example, "first"),
                                  example.at("other_answer").get<bool>() ? ", with another answer" : ""));
  }
  return text;
}

}  // namespace

std::string text_of_facts(const Json& facts) {
  const int64_t problems = count_at(facts, "problems");
  std::string text = base::concat(text_at(facts, "file"), ": ", count_at(facts, "rows"), " rows, ", problems,
                                  is_of_pairs(facts) ? " pairs\n" : " problems\n");
  text += fields_text(facts) + bad_rows_text(facts.at("bad_rows"));
  if (facts.contains("length")) text += length_text(facts.at("length"));
  if (facts.contains("golds")) text += golds_text(facts.at("golds"), problems);
  if (facts.contains("duplicates")) text += duplicates_text(facts.at("duplicates"), is_of_pairs(facts));
  return base::printable(text);
}

std::string text_of_overlap(const Json& overlap) {
  const int64_t found = count_at(overlap, "found"), problems = count_at(overlap, "problems");
  std::string text =
      base::concat("overlap of ", text_at(overlap, "evaluated"), " with ", text_at(overlap, "trained"), ": ");
  if (found == 0)
    return base::printable(base::concat(text, "none of ", problems, " problems shares ",
                                        count_at(overlap, "words_in_a_row"), " words in a row\n"));
  char percent[32];
  std::snprintf(percent, sizeof percent, "%.1f %%", 100.0 * static_cast<double>(found) / static_cast<double>(problems));
  text += base::concat(found, " of ", problems, " problems (", percent, ") share ", count_at(overlap, "words_in_a_row"),
                       " words in a row or all of them\n");
  text += line("", base::concat(count_at(overlap, "half_or_more"), " share half of their text or more, ",
                                count_at(overlap, "same"), " are the same word for word"));
  for (const Json& example : overlap.at("examples")) {
    std::snprintf(percent, sizeof percent, "%3.0f %%", 100.0 * example.at("share").get<double>());
    text += line("", base::concat(percent, "  ", text_at(example, "evaluated"), " and ", text_at(example, "trained"),
                                  ": ", excerpt(text_at(example, "text"))));
  }
  return base::printable(text);
}

}  // namespace grpo::app

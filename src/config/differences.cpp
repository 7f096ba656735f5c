#include <algorithm>

#include "config/describe.h"
#include "grpo/config/config.h"

namespace grpo::config {
namespace {

struct Leaf {
  std::string key;
  std::string text;
};

void collect(const base::Fields& fields, const std::string& prefix, std::vector<Leaf>& leaves) {
  for (const auto& field : fields.list()) {
    const std::string key = joined_key(prefix, field.name);
    if (const auto* section = std::get_if<base::SectionField>(&field.value)) {
      collect(section->fields(), key, leaves);
    } else if (const auto* list = std::get_if<base::SectionListField>(&field.value)) {
      for (size_t i = 0; i < list->size(); ++i) collect(list->fields(i), joined_key(key, std::to_string(i)), leaves);
    } else {
      leaves.push_back({key, flow_text(field.value)});
    }
  }
}

std::vector<Leaf> leaves_of(const base::Fields& fields) {
  std::vector<Leaf> leaves;
  collect(fields, "", leaves);
  return leaves;
}

}  // namespace

std::vector<Difference> differences(const base::Fields& a, const base::Fields& b) {
  static const std::string kAbsent = "(absent)";
  std::vector<Leaf> only_in_b = leaves_of(b);
  std::vector<Difference> found;
  for (const auto& leaf : leaves_of(a)) {
    const auto other =
        std::find_if(only_in_b.begin(), only_in_b.end(), [&](const Leaf& l) { return l.key == leaf.key; });
    const bool is_in_b = other != only_in_b.end();
    const std::string b_text = is_in_b ? other->text : kAbsent;
    if (is_in_b) only_in_b.erase(other);
    if (leaf.text != b_text) found.push_back({leaf.key, leaf.text, b_text});
  }
  for (const auto& leaf : only_in_b) found.push_back({leaf.key, kAbsent, leaf.text});
  return found;
}

}  // namespace grpo::config

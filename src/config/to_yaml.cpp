#include "config/describe.h"
#include "config/scalar.h"
#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "grpo/config/config.h"

namespace grpo::config {
namespace {

constexpr size_t kWidth = 100;  // of a line that holds a list or a mapping

class Writer {
 public:
  std::string take() { return std::move(out_); }

  // `lead` starts the first line in place of `indent` spaces: the dash of a list element.
  void section(const base::Fields& fields, size_t indent, std::string lead = "") {
    for (const auto& field : fields.list()) {
      out_ += lead.empty() ? std::string(indent, ' ') : lead;
      lead.clear();
      out_ += field.name + ":";
      value(field.value, indent, indent + field.name.size() + 2);
    }
  }

 private:
  void value(const base::FieldValue& value, size_t indent, size_t column) {
    if (const auto* nested = std::get_if<base::SectionField>(&value)) return nested_section(nested->fields(), indent);
    if (const auto* list = std::get_if<base::SectionListField>(&value)) return section_list(*list, indent);
    const std::string flow = flow_text(value);
    if (column + flow.size() <= kWidth || !block_value(value, indent)) out_ += " " + flow + "\n";
  }

  void nested_section(const base::Fields& fields, size_t indent) {
    if (fields.list().empty()) {
      out_ += " {}\n";
      return;
    }
    out_ += "\n";
    section(fields, indent + 2);
  }

  void section_list(const base::SectionListField& list, size_t indent) {
    if (list.size() == 0) {
      out_ += " []\n";
      return;
    }
    out_ += "\n";
    const std::string dash = std::string(indent + 2, ' ') + "- ";
    for (size_t i = 0; i < list.size(); ++i) {
      const base::Fields fields = list.fields(i);
      const std::string flow = flow_section(fields);
      if (!flow.empty() && dash.size() + flow.size() <= kWidth)
        out_ += dash + flow + "\n";
      else
        section(fields, indent + 4, dash);
    }
  }

  // "{type: math, weight: 1.0}", or "" if there are sections below.
  static std::string flow_section(const base::Fields& fields) {
    std::vector<std::string> parts;
    for (const auto& field : fields.list()) {
      if (!is_leaf(field.value)) return "";
      parts.push_back(field.name + ": " + flow_text(field.value));
    }
    return "{" + base::join(parts, ", ") + "}";
  }

  // A long list or mapping, one element a line; false for a scalar.
  bool block_value(const base::FieldValue& value, size_t indent) {
    if (const auto* texts = std::get_if<std::vector<std::string>*>(&value)) return block_list(**texts, indent);
    if (const auto* integers = std::get_if<std::vector<int64_t>*>(&value)) return block_list(**integers, indent);
    if (const auto* numbers = std::get_if<std::vector<double>*>(&value)) return block_list(**numbers, indent);
    if (const auto* template_text = std::get_if<base::TextOrMap*>(&value);
        template_text && (*template_text)->is_map()) {
      return block_map((*template_text)->map, indent);
    }
    return false;
  }

  template <typename T>
  bool block_list(std::vector<T>& values, size_t indent) {
    out_ += "\n";
    for (auto& value : values) out_ += std::string(indent + 2, ' ') + "- " + flow_text(base::FieldValue{&value}) + "\n";
    return true;
  }

  bool block_map(const std::map<std::string, std::string>& map, size_t indent) {
    out_ += "\n";
    for (const auto& [key, text] : map) {
      out_ += std::string(indent + 2, ' ') + format_text(key) + ": " + format_text(text) + "\n";
    }
    return true;
  }

  std::string out_;
};

}  // namespace

std::string to_yaml(const base::Fields& root) {
  Writer writer;
  writer.section(root, 0);
  return writer.take();
}

}  // namespace grpo::config

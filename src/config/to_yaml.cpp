#include <algorithm>

#include "config/describe.h"
#include "config/scalar.h"
#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "grpo/config/config.h"

namespace grpo::config {
namespace {

constexpr size_t kWidth = 100;  // longest line of a list or mapping in flow style

class Writer {
 public:
  std::string take() { return std::move(out_); }

  // `lead` begins the first line instead of `indent` spaces; it is the dash of a list's element.
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
    if (const auto* list = std::get_if<base::SectionListField>(&value)) return section_list(*list, indent, column);
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

  void section_list(const base::SectionListField& list, size_t indent, size_t column) {
    const auto paths = paths_alone(list);
    const std::string flow = "[" + base::join(paths, ", ") + "]";
    const bool all = std::none_of(paths.begin(), paths.end(), [](const std::string& path) { return path.empty(); });
    if (all && column + flow.size() <= kWidth) {
      out_ += " " + flow + "\n";
      return;
    }
    out_ += "\n";
    for (size_t i = 0; i < list.size(); ++i) element(list.fields(i), paths[i], indent + 2);
  }

  void element(const base::Fields& fields, const std::string& path_alone, size_t indent) {
    const std::string dash = std::string(indent, ' ') + "- ";
    const std::string flow = path_alone.empty() ? flow_section(fields) : path_alone;
    if (!path_alone.empty() || (!flow.empty() && dash.size() + flow.size() <= kWidth))
      out_ += dash + flow + "\n";
    else
      section(fields, indent + 2, dash);
  }

  // For each element that only sets Fields::list_name() to a single text: that text; "" for every other element.
  static std::vector<std::string> paths_alone(const base::SectionListField& list) {
    const size_t size = list.size();
    list.resize(size + 1);
    const auto defaults = texts_of(list.fields(size));
    list.resize(size);
    std::vector<std::string> paths;
    for (size_t i = 0; i < size; ++i) paths.push_back(path_alone(list.fields(i), defaults));
    return paths;
  }

  static std::string path_alone(const base::Fields& fields, const std::vector<std::string>& defaults) {
    std::string path;
    const auto texts = texts_of(fields);
    for (size_t k = 0; k < texts.size(); ++k) {
      const base::Field& field = fields.list()[k];
      const auto* values = std::get_if<std::vector<std::string>*>(&field.value);
      if (field.name == fields.list_name() && values && (*values)->size() == 1)
        path = format_text((*values)->front());
      else if (!is_leaf(field.value) || texts[k] != defaults[k])
        return "";
    }
    return path;
  }

  static std::vector<std::string> texts_of(const base::Fields& fields) {
    std::vector<std::string> texts;
    for (const auto& field : fields.list()) texts.push_back(is_leaf(field.value) ? flow_text(field.value) : "");
    return texts;
  }

  // A section in flow style, such as "{type: math, weight: 1.0}"; "" if it contains sections.
  static std::string flow_section(const base::Fields& fields) {
    std::vector<std::string> parts;
    for (const auto& field : fields.list()) {
      if (!is_leaf(field.value)) return "";
      parts.push_back(field.name + ": " + flow_text(field.value));
    }
    return "{" + base::join(parts, ", ") + "}";
  }

  // Writes a long list or mapping with one element per line; returns false for a scalar, having written nothing.
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

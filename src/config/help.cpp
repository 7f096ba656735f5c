#include <algorithm>
#include <array>

#include "config/describe.h"
#include "grpo/config/config.h"

namespace grpo::config {
namespace {

// One line of help. The line of a section has only a key, a type and a meaning.
struct Row {
  std::string key;
  std::string type;
  std::string default_text;
  std::string allowed;
  std::string meaning;
  bool is_section = false;
};

void collect(const base::Fields& fields, const std::string& prefix, std::vector<Row>& rows);

Row section_row(const std::string& key, const base::Field& field) {
  return {key, type_name(field.value), "", "", field.doc, true};
}

// Shows the keys of a list's elements by an element that is appended for the moment, so
// that its values are the defaults.
void collect_element(const base::SectionListField& list, const std::string& key, std::vector<Row>& rows) {
  const size_t size = list.size();
  list.resize(size + 1);
  collect(list.fields(size), key + "[]", rows);
  list.resize(size);
}

void collect(const base::Fields& fields, const std::string& prefix, std::vector<Row>& rows) {
  for (const auto& field : fields.list()) {
    const std::string key = joined_key(prefix, field.name);
    if (const auto* section = std::get_if<base::SectionField>(&field.value)) {
      rows.push_back(section_row(key, field));
      collect(section->fields(), key, rows);
    } else if (const auto* list = std::get_if<base::SectionListField>(&field.value)) {
      rows.push_back(section_row(key, field));
      collect_element(*list, key, rows);
    } else {
      rows.push_back({key, type_name(field.value), flow_text(field.value), allowed_text(field), field.doc});
    }
  }
}

std::vector<Row> rows_of(const base::Fields& root) {
  std::vector<Row> rows;
  collect(root, "", rows);
  return rows;
}

constexpr size_t kLongestCell = 30;  // a longer cell moves the rest of its row to the next line

using Cells = std::array<std::string, 4>;
Cells cells_of(const Row& row) { return {row.key, row.type, row.default_text, row.allowed}; }

std::array<size_t, 4> column_widths(const std::vector<Cells>& table) {
  std::array<size_t, 4> widths{};
  for (const auto& cells : table) {
    for (size_t i = 0; i < cells.size(); ++i) {
      if (cells[i].size() <= kLongestCell) widths[i] = std::max(widths[i], cells[i].size());
    }
  }
  return widths;
}

std::string trimmed(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

std::string aligned(const Cells& cells, const std::string& meaning, const std::array<size_t, 4>& widths) {
  std::string out;
  std::string line;
  size_t column = 0;
  const auto add = [&](const std::string& cell) {
    if (!cell.empty() && column > 0 && line.size() + 1 > column) {  // the previous cell was too long
      out += trimmed(line) + "\n";
      line.clear();
    }
    if (line.size() < column) line.resize(column, ' ');
    line += cell;
  };
  for (size_t i = 0; i < cells.size(); ++i) {
    add(cells[i]);
    column += widths[i] + 2;
  }
  add(meaning);
  return out + trimmed(line) + "\n";
}

std::string markdown_cell(const std::string& text) {
  std::string cell;
  for (const char c : text) cell += c == '|' ? std::string("\\|") : std::string(1, c);
  return cell;
}

std::string code(const std::string& text) { return "`" + markdown_cell(text) + "`"; }

// A top-level section has a heading; the sections below it are rows of its table.
bool is_heading(const Row& row) { return row.is_section && row.key.find('.') == std::string::npos; }

const std::string kTableHead = "| key | type | default | allowed | meaning |\n|---|---|---|---|---|\n";

std::string markdown_row(const Row& row) {
  return "| " + code(row.key) + " | " + row.type + " | " + (row.is_section ? "" : code(row.default_text)) + " | " +
         markdown_cell(row.allowed) + " | " + markdown_cell(row.meaning) + " |\n";
}

}  // namespace

std::string help_text(const base::Fields& root) {
  const Cells head{"KEY", "TYPE", "DEFAULT", "ALLOWED"};
  const std::vector<Row> rows = rows_of(root);
  std::vector<Cells> table{head};
  for (const auto& row : rows) {
    if (!is_heading(row)) table.push_back(cells_of(row));
  }
  const auto widths = column_widths(table);
  std::string out = aligned(head, "MEANING", widths);
  for (const auto& row : rows) {
    out += is_heading(row) ? "\n" + row.key + ": " + row.meaning + "\n" : aligned(cells_of(row), row.meaning, widths);
  }
  return out + "\nbase: FILE at the top of a file inherits that file, relative to its own folder.\n";
}

std::string to_markdown(const base::Fields& root) {
  std::string out;
  bool in_table = false;
  for (const auto& row : rows_of(root)) {
    if (is_heading(row)) {
      out += (out.empty() ? "## " : "\n## ") + code(row.key) + "\n\n" + markdown_cell(row.meaning) + "\n\n";
    } else if (!in_table) {
      out += kTableHead;
    }
    in_table = !is_heading(row);
    if (in_table) out += markdown_row(row);
  }
  return out;
}

}  // namespace grpo::config

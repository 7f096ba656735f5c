#include "config/document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/parser.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>

#include "grpo/base/error.h"
#include "grpo/base/text.h"

namespace grpo::config {
namespace {

constexpr uintmax_t kMaxBytes = 4 << 20;  // larger files take minutes and gigabytes to parse

// Ignores all events of a document, so that it can be parsed without keeping anything.
class Nothing : public YAML::EventHandler {
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// Counts documents without YAML::LoadAll, which finds documents without end in "! r\n? ", because the parser does not
// move past what it cannot place. Throws YAML::Exception.
bool has_several_documents(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  Nothing nothing;
  return parser.HandleNextDocument(nothing) && parser.HandleNextDocument(nothing);
}

// Parses a text with one document. Throws YAML::Exception, or base::ConfigError for several documents.
YAML::Node only_document(const std::string& text, const Place& place, const std::string& key) {
  if (has_several_documents(text)) fail(place, key, "expected one YAML document, got several (separated by ---)");
  return YAML::Load(text);
}

}  // namespace

std::string Place::text() const { return line > 0 ? source + ":" + std::to_string(line) : source; }

void fail(const Place& place, const std::string& key, const std::string& what) {
  throw base::ConfigError(place.text() + ": " + (key.empty() ? "" : key + ": ") + what);
}

YAML::Node parse_file(const std::filesystem::path& file) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) {
    fail({file.string()}, "", "no such file (looked in " + std::filesystem::current_path().string() + ")");
  }
  if (!std::filesystem::is_regular_file(file, ignored)) fail({file.string()}, "", "expected a YAML file, this is none");
  const auto bytes = std::filesystem::file_size(file, ignored);
  if (!ignored && bytes > kMaxBytes) {
    fail({file.string()}, "",
         "has " + std::to_string(bytes) + " bytes, more than any configuration (" + std::to_string(kMaxBytes) +
             "); is it a data file?");
  }
  std::ifstream in(file, std::ios::binary);
  if (!in) fail({file.string()}, "", "cannot be read (check its permissions)");
  try {
    const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    return only_document(text, {file.string()}, "");
  } catch (const std::ios_base::failure& error) {
    fail({file.string()}, "", "cannot be read: " + error.code().message());
  } catch (const YAML::Exception& error) {
    fail({file.string(), error.mark.is_null() ? 0 : error.mark.line + 1}, "", "not valid YAML: " + error.msg);
  }
}

// In YAML " #" begins a comment and a line break is a space. Nobody means that on a command line.
void check_whole(const YAML::Node& value, const std::string& key, const std::string& text) {
  const bool is_plain = value.IsScalar() && value.Tag() == "?";
  if (!is_plain || value.Scalar() == base::trimmed(text)) return;
  fail({kCommandLine}, key,
       "of this text YAML reads only " + value.Scalar() + "; write it in quotes: " + key + "='\"...\"'");
}

YAML::Node parse_override_value(const std::string& key, const std::string& text) {
  try {
    const YAML::Node value = only_document(text, {kCommandLine}, key);
    check_whole(value, key, text);
    return value;
  } catch (const YAML::Exception& error) {
    fail({kCommandLine}, key,
         "not valid YAML: " + error.msg + " (a text with special characters needs quotes: " + key + "='\"...\"')");
  }
}

}  // namespace grpo::config

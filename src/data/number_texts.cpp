#include "data/number_texts.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "grpo/base/error.h"

namespace grpo::data {
namespace {

using nlohmann::json;

// Builds the document from the parser's events; only number_float differs from the library's own builder.
class Builder : public json::json_sax_t {
 public:
  json take() { return std::move(root_); }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(json::number_integer_t value) override { return put(value); }
  bool number_unsigned(json::number_unsigned_t value) override { return put(value); }
  bool number_float(json::number_float_t, const std::string& text) override { return put(text); }
  bool string(std::string& value) override { return put(std::move(value)); }
  bool binary(json::binary_t&) override { return false; }  // binary values do not occur in JSON text
  bool start_object(size_t) override { return open(json::object()); }
  bool start_array(size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    key_ = std::move(name);
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  json* place(json value) {
    if (open_.empty()) return &(root_ = std::move(value));
    json& parent = *open_.back();
    if (parent.is_object()) return &(parent[key_] = std::move(value));
    parent.push_back(std::move(value));
    return &parent.back();
  }
  bool put(json value) {
    place(std::move(value));
    return true;
  }
  bool open(json value) {
    open_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  json root_;
  std::vector<json*> open_;  // open containers; a parent does not grow while its child is open, so pointers stay valid
  std::string key_;
};

}  // namespace

json parse_with_number_texts(std::string_view text) {
  Builder builder;
  const bool parsed = json::sax_parse(text.begin(), text.end(), &builder);
  GRPO_CHECK(parsed, "text that was valid JSON before");
  return builder.take();
}

}  // namespace grpo::data

#include "tokenizer/tokenizer_file.h"

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/parse_json.h"

namespace grpo::tokenizer {
namespace {

using Json = nlohmann::json;

/// Receives the document as the events of nlohmann's parser and keeps track of the part that it is in.
class Reader : public Json::json_sax_t {
 public:
  explicit Reader(TokenizerFile& file) : file_(file) {}

  bool null() override { return scalar(nullptr); }
  bool boolean(bool value) override { return scalar(value); }
  bool number_integer(number_integer_t value) override { return number(value, value); }
  bool number_unsigned(number_unsigned_t value) override { return number(static_cast<int64_t>(value), value); }
  bool number_float(number_float_t value, const string_t&) override { return scalar(value); }
  bool binary(binary_t&) override { return false; }

  bool string(string_t& value) override {
    if (section_ == Section::kMerges) return merge_text(value);
    return scalar(std::move(value));
  }

  bool key(string_t& name) override {
    key_ = std::move(name);
    return true;
  }

  bool start_object(size_t) override {
    if (open_.size() == 2 && in_model_ && key_ == "vocab") return enter(Section::kVocabulary);
    if (section_ == Section::kMerges) fail("model.merges", "text or a pair of texts");
    return open(Json::object());
  }
  bool end_object() override {
    if (section_ == Section::kVocabulary) return leave();
    return close();
  }
  bool start_array(size_t) override {
    if (section_ == Section::kMerges) {
      if (in_pair_) fail("model.merges", "pairs of texts");
      in_pair_ = true;
      pair_.clear();
      return true;
    }
    if (open_.size() == 2 && in_model_ && key_ == "merges") return enter(Section::kMerges);
    return open(Json::array());
  }
  bool end_array() override {
    if (section_ != Section::kMerges) return close();
    if (!in_pair_) return leave();
    if (pair_.size() != 2) fail("model.merges", "pairs of texts");
    file_.merges.add(pair_[0], pair_[1]);
    in_pair_ = false;
    return true;
  }

  bool parse_error(size_t, const std::string&, const Json::exception& error) override {
    throw base::IoError(error.what());
  }

 private:
  enum class Section { kConfig, kVocabulary, kMerges };

  [[noreturn]] static void fail(const char* where, const char* expected) {
    throw base::IoError(base::concat(where, ": expected ", expected));
  }

  bool enter(Section section) {
    section_ = section;
    return true;
  }
  bool leave() { return enter(Section::kConfig); }

  template <typename Value>
  bool number(int64_t id, Value value) {
    if (section_ != Section::kVocabulary) return scalar(value);
    file_.vocabulary.add(key_, id);
    return true;
  }

  bool scalar(Json value) {
    if (section_ == Section::kVocabulary) fail("model.vocab", "a number for each token");
    if (section_ == Section::kMerges) fail("model.merges", "text or a pair of texts");
    place(std::move(value));
    return true;
  }

  /// "left right"; a line that starts with #version is a remark of older files.
  bool merge_text(const std::string& text) {
    if (in_pair_) {
      pair_.push_back(text);
      return true;
    }
    if (text.starts_with("#version")) return true;
    const size_t space = text.find(' ');
    if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
      throw base::IoError("model.merges: \"" + text + "\" is not two tokens with a space between");
    }
    file_.merges.add(std::string_view(text).substr(0, space), std::string_view(text).substr(space + 1));
    return true;
  }

  Json* place(Json value) {
    if (open_.empty()) return &(file_.config = std::move(value));
    Json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &(parent[key_] = std::move(value));
  }

  bool open(Json value) {
    if (section_ == Section::kVocabulary) fail("model.vocab", "a number for each token");
    if (open_.size() == 1) in_model_ = key_ == "model";
    open_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  TokenizerFile& file_;
  std::vector<Json*> open_;  // the enclosing containers; pointers stay valid since only the innermost one grows
  std::string key_;
  Section section_ = Section::kConfig;
  bool in_model_ = false, in_pair_ = false;
  std::vector<std::string> pair_;
};

}  // namespace

void MergeList::add(std::string_view left, std::string_view right) {
  text_ += left;
  ends_.push_back(text_.size());
  text_ += right;
  ends_.push_back(text_.size());
}

std::string_view MergeList::part(size_t index) const {
  const size_t begin = index == 0 ? 0 : ends_[index - 1];
  return std::string_view(text_).substr(begin, ends_[index] - begin);
}

TokenizerFile parse_tokenizer_json(std::string_view text) {
  TokenizerFile file;
  Reader reader(file);
  io::check_json_depth(text, "the document");
  Json::sax_parse(text, &reader);
  if (!file.config.is_object()) throw base::IoError("expected a JSON object");
  return file;
}

}  // namespace grpo::tokenizer

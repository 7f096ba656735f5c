#include "tokenizer/regex_syntax.h"

#include <algorithm>
#include <cctype>
#include <cstdio>

#include "grpo/base/error.h"
#include "tokenizer/regex.h"
#include "tokenizer/unicode_tables.h"

namespace grpo::tokenizer {
namespace {

std::string range_text(char32_t first, char32_t last) {
  char text[32];
  std::snprintf(text, sizeof(text), first == last ? "\\x{%x}" : "\\x{%x}-\\x{%x}", static_cast<unsigned>(first),
                static_cast<unsigned>(last));
  return text;
}

/// The White_Space characters, or with `negated` all other characters, as the items of a class.
std::string white_space_items(bool negated) {
  std::string items;
  char32_t next = 0;
  for (const auto& range : white_space()) {
    if (!negated) items += range_text(range.first, range.last);
    if (negated && range.first > next) items += range_text(next, range.first - 1);
    next = range.last + 1;
  }
  return negated ? items + range_text(next, 0x10ffff) : items;
}

/// Characters of a general category ("L", "Lu") that newer Unicode versions added, as class items.
std::string added_items(std::string_view category) {
  std::string items;
  for (const auto& range : categories_assigned_after_14()) {
    if (std::string_view(range.category).substr(0, category.size()) == category) {
      items += range_text(range.first, range.last);
    }
  }
  return items;
}

bool is_category(std::string_view name) {
  static constexpr std::string_view kMajor = "LMNPSZC";
  return (name.size() == 1 || name.size() == 2) && kMajor.find(name[0]) != std::string_view::npos;
}

class Translator {
 public:
  Translator(std::string_view pattern, UnicodeProperties properties)
      : pattern_(pattern), extended_(properties == UnicodeProperties::kExtended) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      if (pattern_[at_] == '{' && repeat_length() > 0) {
        repeat();
      } else {
        atom();
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw base::IoError("regular expression " + std::string(pattern_) + ": " + what + " is not supported");
  }

  void atom() {
    const char c = pattern_[at_];
    if (c == '(') groups_.push_back(out_.size());
    if (c == ')' && !groups_.empty()) {
      atom_begin_ = groups_.back();
      groups_.pop_back();
    } else if (c != '*' && c != '+' && c != '?') {
      atom_begin_ = out_.size();
    }
    if (c == '\\') {
      escape(false);
    } else if (c == '[') {
      character_class();
    } else if (const size_t length = options_length(); length > 0) {
      // Behind the beginning Ruby's reach over the alternatives that follow, PCRE2's over one's rest.
      if (at_ > 0 && pattern_[at_ + length] == ')') fail("an option like (?i) behind the beginning");
      std::string options(pattern_.substr(at_, length));
      std::replace(options.begin(), options.end(), 'm', 's');  // Ruby's m lets . match line breaks
      out_ += options;
      at_ += length;
    } else {
      out_ += c;
      ++at_;
    }
  }

  /// Length of (?i) or (?m-i: here, without what follows; 0 where no options are set.
  size_t options_length() const {
    if (pattern_.substr(at_, 2) != "(?") return 0;
    const size_t end = pattern_.find_first_not_of("imx-", at_ + 2);
    const bool sets = end != std::string_view::npos && end > at_ + 2 && (pattern_[end] == ':' || pattern_[end] == ')');
    return sets ? end - at_ : 0;
  }

  /// Length of {n}, {n,}, {,m} or {n,m} here; 0 where the brace is a plain character.
  size_t repeat_length() const {
    size_t end = at_ + 1;
    bool digit = false;
    while (end < pattern_.size() && (std::isdigit(static_cast<unsigned char>(pattern_[end])) || pattern_[end] == ',')) {
      digit = digit || pattern_[end] != ',';
      ++end;
    }
    return digit && end < pattern_.size() && pattern_[end] == '}' ? end + 1 - at_ : 0;
  }

  void repeat() {
    const size_t length = repeat_length();
    std::string bounds(pattern_.substr(at_, length));
    if (bounds[1] == ',') bounds.insert(1, "0");  // PCRE2 before 10.43 does not know {,m}
    out_ += bounds;
    at_ += length;
    // In Ruby's syntax {n,m}+ is a repeated repeat and {n}? an optional one, in PCRE2 a possessive and a lazy one.
    if (peek() == '+' || (peek() == '?' && bounds.find(',') == std::string::npos)) {
      out_.insert(atom_begin_, "(?:");
      out_ += std::string(")") + pattern_[at_++];
    }
  }

  void character_class() {
    out_ += '[';
    ++at_;
    if (peek() == '^') out_ += pattern_[at_++];
    if (peek() == ']') fail("an empty class or one that starts with ]");
    while (peek() != ']') {
      if (at_ >= pattern_.size()) fail("a class without its closing bracket");
      class_item();
    }
    out_ += ']';
    ++at_;
  }

  void class_item() {
    const char c = pattern_[at_];
    if (c == '\\') return escape(true);
    if (c == '&' && pattern_.substr(at_, 2) == "&&") fail("class intersection &&");
    if (c == '[') {
      if (pattern_.substr(at_, 2) != "[:") fail("a class inside a class");
      const size_t end = pattern_.find(":]", at_);
      if (end == std::string_view::npos) fail("an open [: class");
      out_ += posix_items(pattern_.substr(at_ + 2, end - at_ - 2));
      at_ = end + 2;
      return;
    }
    out_ += c;
    ++at_;
  }

  void escape(bool in_class) {
    if (at_ + 1 >= pattern_.size()) fail("a backslash at the end");
    const char c = pattern_[at_ + 1];
    switch (c) {
      case 'p':
      case 'P':
        return property(in_class);
      case 's':
      case 'S':
        at_ += 2;
        if (!extended_) return void(out_.append({'\\', c}));
        return items(white_space_items(c == 'S'), in_class);
      case 'd':
        at_ += 2;
        return category("Nd", false, in_class);
      case 'D':
        at_ += 2;
        return category("Nd", true, in_class);
      case 'w':
        at_ += 2;
        return items(word_items(), in_class);
      case 'W':
        at_ += 2;
        if (in_class) fail("\\W inside a class");
        out_ += "[^" + word_items() + "]";
        return;
      case 'b':
      case 'B':
        at_ += 2;
        out_ += in_class ? std::string({'\\', c}) : word_boundary(c == 'b');
        return;
      case 'h':
      case 'H':
        at_ += 2;
        if (c == 'H' && in_class) fail("\\H inside a class");
        out_ += in_class ? "0-9a-fA-F" : c == 'h' ? "[0-9a-fA-F]" : "[^0-9a-fA-F]";
        return;
      case 'u':
        if (at_ + 6 > pattern_.size()) fail("a \\u without four hexadecimal digits");
        out_ += "\\x{" + std::string(pattern_.substr(at_ + 2, 4)) + "}";
        at_ += 6;
        return;
      default:
        out_ += pattern_.substr(at_, 2);
        at_ += 2;
    }
  }

  /// \p{Name}, \p{^Name}, \P{Name} or \pL.
  void property(bool in_class) {
    bool negated = pattern_[at_ + 1] == 'P';
    at_ += 2;
    std::string_view name = pattern_.substr(at_, 1);
    if (peek() == '{') {
      const size_t end = pattern_.find('}', at_);
      if (end == std::string_view::npos) fail("a \\p{ without }");
      name = pattern_.substr(at_ + 1, end - at_ - 1);
      at_ = end + 1;
    } else {
      ++at_;
    }
    if (!name.empty() && name[0] == '^') {
      negated = !negated;
      name.remove_prefix(1);
    }
    category(name, negated, in_class);
  }

  void category(std::string_view name, bool negated, bool in_class) {
    const std::string newer = is_category(name) ? added(name) : "";
    // A bare name is a script's extensions in newer PCRE2, where Oniguruma means the script itself.
    const std::string full = is_category(name) ? std::string(name) : property_name(name);
    if (newer.empty()) {
      out_ += (negated ? "\\P{" : "\\p{") + full + "}";
    } else if (!negated) {
      items("\\p{" + full + "}" + newer, in_class);
    } else if (in_class) {
      out_ += "\\P{" + full + "}";  // a class cannot subtract `newer`, so characters newer than Unicode 14 stay in it
    } else {
      out_ += "[^\\p{" + full + "}" + newer + "]";
    }
  }

  static std::string property_name(std::string_view name) {
    static constexpr std::string_view kPlain[] = {"Any", "L&", "Alphabetic", "White_Space", "Lowercase", "Uppercase"};
    for (const auto plain : kPlain) {
      if (name == plain) return std::string(name);
    }
    return "sc:" + std::string(name);
  }

  /// The members of [:name:] as class items. Oniguruma takes Unicode's properties (UTS 18, annex C) and counts symbols
  /// among the punctuation; PCRE2 takes general categories.
  std::string posix_items(std::string_view name) const {
    if (name == "alpha") return "\\p{Alphabetic}" + added("L") + added("M");
    if (name == "alnum") return "\\p{Alphabetic}\\p{Nd}" + added("L") + added("M") + added("Nd");
    if (name == "lower") return "\\p{Lowercase}" + added("Ll");
    if (name == "upper") return "\\p{Uppercase}" + added("Lu");
    if (name == "digit") return "\\p{Nd}" + added("Nd");
    if (name == "punct") return "\\p{P}\\p{S}" + added("P") + added("S");
    if (name == "space") return white_space_items(false);
    if (name == "blank") return "\\t\\p{Zs}";
    if (name == "word") return word_items();
    if (name == "cntrl" || name == "xdigit" || name == "ascii") return base::concat("[:", name, ":]");
    fail(base::concat("the class [:", name, ":]"));
  }

  std::string added(std::string_view category) const { return extended_ ? added_items(category) : ""; }

  /// Unicode's word characters (UTS 18, annex C).
  std::string word_items() const {
    return "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}" + added("L") + added("M") + added("Nd");
  }

  /// Between a word character and another one or an end of the text; negated everywhere else.
  std::string word_boundary(bool holds) const {
    const std::string word = "[" + word_items() + "]";
    return "(?:(?<=" + word + (holds ? ")(?!" : ")(?=") + word + ")|(?<!" + word + (holds ? ")(?=" : ")(?!") + word +
           "))";
  }

  void items(const std::string& items, bool in_class) { out_ += in_class ? items : "[" + items + "]"; }

  char peek() const { return at_ < pattern_.size() ? pattern_[at_] : '\0'; }

  std::string_view pattern_;
  bool extended_;
  size_t at_ = 0;
  size_t atom_begin_ = 0;       // position in out_ of the atom that a repeat applies to
  std::vector<size_t> groups_;  // positions in out_ of the open parentheses
  std::string out_;
};

}  // namespace

std::string to_pcre2_syntax(std::string_view pattern, UnicodeProperties properties) {
  return Translator(pattern, properties).run();
}

std::string escape_regex(std::string_view text) {
  static constexpr std::string_view kSpecial = "\\^$.|?*+()[]{}-#";
  std::string pattern;
  for (const char c : text) {
    if (kSpecial.find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

}  // namespace grpo::tokenizer

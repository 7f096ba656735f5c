#include "reward/units.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include "reward/char_class.h"
#include "reward/lexer.h"

namespace grpo::reward {
namespace {

struct UnitRow {
  std::string_view names;  // separated by spaces; one in capitals or of at most three letters is a symbol
  std::string_view dimension;
  int64_t num = 1;
  int64_t den = 1;
  int power = 1;
};

// Exact by definition. Ambiguous ones (ton, calorie, month against day) are dimensions of their own.
constexpr UnitRow kUnits[] = {
    {"m meter metre", "m"},
    {"km kilometer kilometre", "m", 1000},
    {"dm decimeter decimetre", "m", 1, 10},
    {"cm centimeter centimetre", "m", 1, 100},
    {"mm millimeter millimetre", "m", 1, 1000},
    {"um micrometer micrometre micron", "m", 1, 1000000},
    {"nm nanometer nanometre", "m", 1, 1000000000},
    {"in inch inches", "m", 254, 10000},
    {"ft foot feet", "m", 3048, 10000},
    {"yd yard", "m", 9144, 10000},
    {"mi mile", "m", 1609344, 1000},
    {"g gm gram gramme", "g"},
    {"kg kilogram", "g", 1000},
    {"mg milligram", "g", 1, 1000},
    {"lb lbs pound", "lb"},
    {"oz ounce", "lb", 1, 16},
    {"ton tonne", "ton"},
    {"s sec secs second", "s"},
    {"ms millisecond", "s", 1, 1000},
    {"min mins minute", "s", 60},
    {"h hr hrs hour", "s", 3600},
    {"day", "s", 86400},
    {"week", "s", 604800},
    {"month", "month"},
    {"yr yrs year", "month", 12},
    {"decade", "month", 120},
    {"century centuries", "month", 1200},
    {"L l liter litre", "m", 1, 1000, 3},
    {"mL ml milliliter millilitre", "m", 1, 1000000, 3},
    {"gal gallon", "gallon"},
    {"qt quart", "gallon", 1, 4},
    {"pt pint", "gallon", 1, 8},
    {"cup", "gallon", 1, 16},
    {"acre", "acre"},
    {"hectare", "m", 10000, 1, 2},
    {"dollar USD buck", "dollar"},
    {"cent", "dollar", 1, 100},
    {"euro EUR", "euro"},
    {"pound-sterling GBP", "sterling"},
    {"yen JPY", "yen"},
    {"yuan RMB CNY", "yuan"},
    {"rupee rs INR", "rupee"},
    {"rad radian", "rad"},
    {"K kelvin", "kelvin"},
    {"celsius", "celsius"},
    {"fahrenheit", "fahrenheit"},
    {"mol mole", "mole"},
    {"J joule", "J"},
    {"kJ kilojoule", "J", 1000},
    {"W watt", "W"},
    {"kW kilowatt", "W", 1000},
    {"N newton", "N"},
    {"kN kilonewton", "N", 1000},
    {"Pa pascal", "Pa"},
    {"kPa kilopascal", "Pa", 1000},
    {"V volt", "V"},
    {"A amp ampere", "A"},
    {"Hz hertz", "Hz"},
    {"kHz kilohertz", "Hz", 1000},
    {"MHz megahertz", "Hz", 1000000},
    {"ohm", "ohm"},
    {"eV", "eV"},
    {"percent pct percentage", "percent"},
};

bool is_symbol(std::string_view name) {
  return name.size() <= 3 && name != "day" && name != "cup" && name != "ton" && name != "ohm";
}

bool names_match(std::string_view name, std::string_view word, const std::string& low) {
  if (is_symbol(name)) return name == word || (name.size() > 1 && name == low);
  return name == word || name == low || low == std::string(name) + "s" || low == std::string(name) + "es";
}

std::optional<Unit> from_table(std::string_view word) {
  const std::string low = lower(word);
  for (const auto& row : kUnits) {
    for (size_t at = 0; at <= row.names.size();) {
      const size_t end = std::min(row.names.find(' ', at), row.names.size());
      if (names_match(row.names.substr(at, end - at), word, low)) {
        Unit unit;
        unit.factor = Rational(row.num, row.den);
        unit.dimensions[std::string(row.dimension)] = row.power;
        return unit;
      }
      at = end + 1;
    }
  }
  return std::nullopt;
}

std::string singular(std::string word) {
  if (word.size() > 3 && word.ends_with("ies")) return word.substr(0, word.size() - 3) + "y";
  if (word.size() > 4 && (word.ends_with("xes") || word.ends_with("ches") || word.ends_with("shes"))) return word.substr(0, word.size() - 2);
  if (word.size() > 2 && word.ends_with("s") && !word.ends_with("ss")) word.pop_back();
  return word;
}

// Words that make a phrase a statement: what follows a number is then not its unit.
bool is_statement_word(const std::string& word) {
  static constexpr std::array<std::string_view, 45> kWords = {
      "or",    "and",   "is",     "are",   "not",  "if",    "but",   "than",   "then",  "wrong",   "no",      "when",
      "where", "for",   "either", "was",   "were", "be",    "maybe", "about",  "so",    "because", "correct", "incorrect",
      "to",    "more",  "less",   "least", "most", "which", "that",  "except", "with",  "plus",    "minus",   "times",
      "equals", "answer", "all", "only", "approximately", "until", "between", "through", "from"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

// Splits "m/s^2", "square feet", "kg*m" into words, '/', '*' and '^'.
std::vector<std::string> split_phrase(std::string_view phrase) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < phrase.size();) {
    const char c = phrase[i];
    const bool wordy = is_letter(c) || (c & 0x80) != 0;
    if (wordy || is_digit(c) || (c == '-' && i + 1 < phrase.size() && is_digit(phrase[i + 1]))) {
      const size_t begin = i++;
      const auto inside = [&](char d) {
        return wordy ? is_letter(d) || (d & 0x80) != 0 || d == '-' || d == '\'' : is_digit(d);
      };
      while (i < phrase.size() && inside(phrase[i])) ++i;
      parts.emplace_back(phrase.substr(begin, i - begin));
    } else {
      if (c == '/' || c == '^' || c == '*') parts.emplace_back(1, c);
      ++i;
    }
  }
  return parts;
}

bool says_nothing(const std::string& low) { return low == "unit" || low == "units" || low == "un"; }

Unit named(const std::string& phrase) {
  Unit unit;
  unit.dimensions[phrase] = 1;
  return unit;
}

// Reads the words of one phrase from left to right; "per" and "/" divide what follows them.
class PhraseReader {
 public:
  explicit PhraseReader(std::vector<std::string> parts) : parts_(std::move(parts)) {}

  std::optional<Unit> read() {
    Unit unit;
    int words = 0;
    std::string noun;  // consecutive unknown words are one thing
    for (; at_ < parts_.size(); ++at_) {
      const std::string low = lower(parts_[at_]);
      if (low == "/" || low == "per" || (low == "a" && at_ > 0)) {
        sign_ = -1;
      } else if (low == "square" || low == "sq") {
        power_ = 2;
      } else if (low == "cubic" || low == "cu") {
        power_ = 3;
      } else if (low == "*" || low == "the" || low == "of" || low == "each" || low == "a") {
        continue;
      } else if (low == "^" || is_digit(low[0]) || low[0] == '-') {
        return std::nullopt;
      } else if (is_statement_word(low) || ++words > 4) {
        return std::nullopt;
      } else {
        append(unit, noun);
      }
    }
    if (!noun.empty()) unit = multiply(unit, named(noun));
    return unit;
  }

 private:
  void append(Unit& unit, std::string& noun) {
    const std::string& word = parts_[at_];
    const std::string low = lower(word);
    const int power = take_power();
    if (says_nothing(low)) {
      power_ = 1;
      return;
    }
    if (const auto known = from_table(word)) {
      unit = multiply(unit, *known, sign_ * power);
    } else if (low == "mph" || low == "kph" || low == "mps") {
      unit = multiply(unit, *from_table(low == "mph" ? "mile" : low == "kph" ? "km" : "m"));
      unit = multiply(unit, *from_table(low == "mps" ? "s" : "h"), -1);
    } else if (sign_ < 0 || power != 1) {
      unit = multiply(unit, named(singular(low)), sign_ * power);
    } else {
      noun += (noun.empty() ? "" : " ") + singular(low);
    }
    power_ = 1;
    if (sign_ < 0) sign_ = 1;
  }

  static bool is_exponent(const std::string& part) {
    return part.size() <= 2 && is_digit(part.back()) && (part.size() == 1 || is_digit(part[0]) || part[0] == '-') && part != "0";
  }

  int take_power() {
    int power = power_;
    if (at_ + 1 < parts_.size()) {
      const std::string next = lower(parts_[at_ + 1]);
      if (next == "squared" || next == "cubed") {
        ++at_;
        return power * (next == "squared" ? 2 : 3);
      }
    }
    if (at_ + 2 < parts_.size() && parts_[at_ + 1] == "^" && is_exponent(parts_[at_ + 2])) {
      power *= std::stoi(parts_[at_ + 2]);
      at_ += 2;
    }
    return power;
  }

  std::vector<std::string> parts_;
  size_t at_ = 0;
  int sign_ = 1;
  int power_ = 1;
};

}  // namespace

Unit multiply(const Unit& a, const Unit& b, int power) {
  Unit out = a;
  for (int i = 0; i < std::abs(power); ++i) {
    out.factor = power > 0 ? out.factor * b.factor : out.factor / b.factor;
    out.pi_power += power > 0 ? b.pi_power : -b.pi_power;
  }
  for (const auto& [name, exponent] : b.dimensions) {
    out.dimensions[name] += exponent * power;
    if (out.dimensions[name] == 0) out.dimensions.erase(name);
  }
  return out;
}

std::optional<Unit> find_unit(std::string_view word) {
  const std::string low = lower(word);
  if (low == "degree" || low == "degrees" || low == "deg") {
    Unit unit;
    unit.factor = Rational(1, 180);
    unit.pi_power = 1;
    unit.dimensions["rad"] = 1;
    return unit;
  }
  if (says_nothing(low)) return Unit{};
  if (low == "mph" || low == "kph" || low == "mps") return PhraseReader({low}).read();
  return from_table(word);
}

std::optional<int64_t> scale_word(std::string_view word) {
  static constexpr std::pair<std::string_view, int64_t> kScales[] = {
      {"hundred", 100},       {"thousand", 1000},     {"million", 1'000'000}, {"billion", 1'000'000'000},
      {"trillion", 1'000'000'000'000}, {"dozen", 12}, {"hundreds", 100},      {"thousands", 1000},
      {"millions", 1'000'000}, {"billions", 1'000'000'000}, {"dozens", 12}};
  const std::string low = lower(word);
  for (const auto& [name, scale] : kScales) {
    if (low == name) return scale;
  }
  return std::nullopt;
}

bool is_unit_formula(std::string_view text) {
  const auto parts = split_phrase(text);
  return !parts.empty() && std::all_of(parts.begin(), parts.end(), [](const std::string& part) {
    return !is_letter(part[0]) || lower(part) == "per" || find_unit(part).has_value();
  });
}

std::optional<Unit> parse_unit(std::string_view phrase) {
  const auto parts = split_phrase(phrase);
  if (parts.empty()) return std::nullopt;
  if (parts.size() == 1) {
    if (const auto unit = find_unit(parts[0])) return unit;
  }
  if (parts.size() == 2 && lower(parts[0]).starts_with("degree") && parts[1].size() > 1) {
    return from_table(parts[1]);  // degrees Celsius
  }
  if (parts.size() == 2 && lower(parts[0]) == "degree" && parts[1].size() == 1) {
    return from_table(parts[1] == "C" ? "celsius" : parts[1] == "F" ? "fahrenheit" : "");
  }
  return PhraseReader(parts).read();
}

}  // namespace grpo::reward

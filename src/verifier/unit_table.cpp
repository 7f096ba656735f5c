#include "verifier/unit_table.h"

#include <algorithm>
#include <string>

#include "verifier/lexer.h"

namespace grpo::verifier {
namespace {

struct UnitRow {
  std::string_view symbols;     // separated by spaces; case counts
  std::string_view names;       // separated by spaces; singular
  std::string_view dimensions;  // "g m2 s-2"
  int64_t num = 1;
  int64_t den = 1;
  bool prefixes = false;  // takes kilo-, milli-, ...
};

// The factors are exact by definition. A unit that has several sizes (ton, calorie, month against day) is a dimension
// of its own. The gram is the base of mass, so that the kilogram takes its prefix like every other unit.
constexpr UnitRow kUnits[] = {
    {"", "unit un", "unit"},
    {"m", "meter metre", "m", 1, 1, true},
    {"in", "inch", "m", 254, 10000},
    {"ft", "foot feet", "m", 3048, 10000},
    {"yd", "yard", "m", 9144, 10000},
    {"mi", "mile", "m", 1609344, 1000},
    {"Å", "angstrom ångström", "m", 1, 10'000'000'000},
    {"", "micron", "m", 1, 1'000'000},
    {"ly", "light-year lightyear", "ly"},
    {"pc", "parsec", "pc", 1, 1, true},
    {"AU au", "", "AU"},
    {"g gm", "gram gramme", "g", 1, 1, true},
    {"lb lbs", "pound", "lb"},
    {"oz", "ounce", "lb", 1, 16},
    {"", "ton tonne", "ton"},
    {"s sec secs", "second", "s", 1, 1, true},
    {"min mins", "minute", "s", 60},
    {"h hr hrs", "hour", "s", 3600},
    {"", "day", "s", 86400},
    {"wk", "week", "s", 604800},
    {"", "month", "month"},
    {"yr yrs", "year", "month", 12},
    {"", "decade", "month", 120},
    {"", "century", "month", 1200},
    {"L l", "liter litre", "m3", 1, 1000, true},
    {"cc", "", "m3", 1, 1'000'000},
    {"gal", "gallon", "gallon"},
    {"qt", "quart", "gallon", 1, 4},
    {"pt", "pint", "gallon", 1, 8},
    {"", "cup", "gallon", 1, 16},
    {"", "acre", "acre"},
    {"ha", "hectare", "m2", 10000},
    {"USD", "dollar buck", "dollar"},
    {"", "cent", "dollar", 1, 100},
    {"EUR", "euro", "euro"},
    {"GBP", "pound-sterling sterling", "sterling"},
    {"JPY", "yen", "yen"},
    {"RMB CNY", "yuan 元", "yuan"},
    {"Rs rs INR", "rupee", "rupee"},
    {"rad", "radian", "rad"},
    {"K", "kelvin", "kelvin", 1, 1, true},
    {"", "celsius", "celsius"},
    {"", "fahrenheit", "fahrenheit"},
    {"mol", "mole", "mole", 1, 1, true},
    {"J", "joule", "g m2 s-2", 1000, 1, true},
    {"erg", "ergs", "g m2 s-2", 1, 10000},
    {"cal", "calorie", "cal", 1, 1, true},
    {"W", "watt", "g m2 s-3", 1000, 1, true},
    {"N", "newton", "g m s-2", 1000, 1, true},
    {"dyn", "dyne", "g m s-2", 1, 100},
    {"Pa", "pascal", "g m-1 s-2", 1000, 1, true},
    {"bar", "", "g m-1 s-2", 100'000'000, 1, true},
    {"atm", "atmosphere", "g m-1 s-2", 101'325'000},
    {"A", "amp ampere", "A", 1, 1, true},
    {"C", "coulomb", "A s", 1, 1, true},
    {"V", "volt", "g m2 s-3 A-1", 1000, 1, true},
    {"Ω", "ohm", "g m2 s-3 A-2", 1000, 1, true},
    {"F", "farad", "g-1 m-2 s4 A2", 1, 1000, true},
    {"T", "tesla", "g s-2 A-1", 1000, 1, true},
    {"Wb", "weber", "g m2 s-2 A-1", 1000, 1, true},
    {"H", "henry", "g m2 s-2 A-2", 1000, 1, true},
    {"Hz", "hertz", "s-1", 1, 1, true},
    {"eV", "electronvolt electron-volt", "eV", 1, 1, true},
    {"Jy", "jansky", "Jy", 1, 1, true},
    {"", "solar-mass", "solar mass"},
    {"", "solar-luminosity", "solar luminosity"},
    {"", "solar-radius", "solar radius"},
    {"Wh", "watt-hour", "g m2 s-2", 3'600'000, 1, true},
    {"rpm", "", "rpm"},
    {"mpg", "", "mpg"},
    {"bpm", "", "bpm"},
    {"psi", "", "psi"},
    {"ppm", "", "ppm"},
    {"dB", "decibel", "dB"},
    {"tsp", "teaspoon", "tsp"},
    {"tbsp", "tablespoon", "tsp", 3},
    {"pct", "percent percentage", "percent"},
};

struct Prefix {
  std::string_view symbol;
  std::string_view name;
  int power;  // of ten
};
constexpr Prefix kPrefixes[] = {{"f", "femto", -15}, {"p", "pico", -12}, {"n", "nano", -9},  {"u", "micro", -6},
                                {"µ", "micro", -6},  {"m", "milli", -3}, {"c", "centi", -2}, {"d", "deci", -1},
                                {"k", "kilo", 3},    {"K", "kilo", 3},   {"M", "mega", 6},   {"G", "giga", 9},
                                {"T", "tera", 12}};

bool has_word(std::string_view words, std::string_view word) {
  for (size_t at = 0; at < words.size();) {
    const size_t end = std::min(words.find(' ', at), words.size());
    if (words.substr(at, end - at) == word) return true;
    at = end + 1;
  }
  return false;
}

std::string singular_unit(std::string_view low) {
  if (low == "inches" || low == "feet" || low == "henries" || low == "centuries")
    return low == "feet" ? "foot" : low == "inches" ? "inch" : low == "henries" ? "henry" : "century";
  if (low.size() > 3 && low.ends_with('s') && low != "celsius") low.remove_suffix(1);
  return std::string(low);
}

const UnitRow* by_symbol(std::string_view word) {
  const auto* row =
      std::find_if(std::begin(kUnits), std::end(kUnits), [&](const UnitRow& r) { return has_word(r.symbols, word); });
  return row == std::end(kUnits) ? nullptr : row;
}

const UnitRow* by_name(std::string_view name) {
  const auto* row =
      std::find_if(std::begin(kUnits), std::end(kUnits), [&](const UnitRow& r) { return has_word(r.names, name); });
  return row == std::end(kUnits) ? nullptr : row;
}

// "g m2 s-2" as powers of dimensions; a name with a space, such as "solar mass", is one dimension.
std::map<std::string, int> dimensions_of(std::string_view text) {
  if (text.starts_with("solar")) return {{std::string(text), 1}};
  std::map<std::string, int> out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    const auto word = text.substr(at, end - at);
    const size_t power = word.find_first_of("-0123456789");
    out[std::string(word.substr(0, power))] =
        power == std::string_view::npos ? 1 : std::stoi(std::string(word.substr(power)));
    at = end + 1;
  }
  return out;
}

Unit unit_of(const UnitRow& row, int power_of_ten = 0) {
  Unit unit;
  unit.factor = Rational(row.num, row.den) * Rational::from_decimal("1", power_of_ten);
  unit.dimensions = dimensions_of(row.dimensions);
  return unit;
}

}  // namespace

std::optional<Unit> unit_from_table(std::string_view word) {
  if (word.empty() || word.size() > 24) return std::nullopt;
  if (const auto* row = by_symbol(word)) return unit_of(*row);
  const std::string low = lower(word);
  const std::string name = singular_unit(low);
  if (const auto* row = by_name(name)) return unit_of(*row);
  if (low.size() > 1 && low != word && low.size() <= 3) {  // Ft, LB, Min; with a prefix the case counts: Mm is no mm
    if (const auto* row = by_symbol(low)) return unit_of(*row);
  }
  for (const Prefix& prefix : kPrefixes) {
    if (word.starts_with(prefix.symbol)) {
      const auto* row = by_symbol(word.substr(prefix.symbol.size()));
      if (row != nullptr && row->prefixes) return unit_of(*row, prefix.power);
    }
    if (name.starts_with(prefix.name)) {
      const auto* row = by_name(std::string_view(name).substr(prefix.name.size()));
      if (row != nullptr && row->prefixes) return unit_of(*row, prefix.power);
    }
  }
  return std::nullopt;
}

}  // namespace grpo::verifier

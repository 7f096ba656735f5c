#include "verifier/units.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "verifier/char_class.h"
#include "verifier/lexer.h"
#include "verifier/number_words.h"
#include "verifier/unit_table.h"

namespace grpo::verifier {
namespace {

std::string singular_noun(std::string word) {
  if (word.size() > 3 && word.ends_with("ies")) return word.substr(0, word.size() - 3) + "y";
  if (word.size() > 4 && (word.ends_with("xes") || word.ends_with("ches") || word.ends_with("shes")))
    return word.substr(0, word.size() - 2);
  if (word.size() > 2 && word.ends_with("s") && !word.ends_with("ss")) word.pop_back();
  return word;
}

// A phrase with one of these words is no unit: it is a statement or changes the number before it. These word classes
// are closed, so that they can be listed; a word that is not listed is taken for a noun, the name of what is counted.
constexpr std::string_view kNoUnits[] = {
    // conjunctions, negations, verbs
    "or", "and", "if", "but", "than", "then", "because", "since", "so", "while", "unless", "until", "whether", "except",
    "not", "no", "nor", "never", "yes", "is", "are", "was", "were", "be", "been", "isn't", "has", "have", "had", "does",
    "do", "will", "would", "can", "could", "cannot", "should", "may", "might", "must", "equals", "equal", "becomes",
    "gives", "means",
    // prepositions and adverbs of place or order
    "ish", "below", "above", "under", "over", "beneath", "beyond", "past", "before", "after", "by", "at", "as", "for",
    "to", "from", "with", "without", "between", "through", "within", "via", "near", "around", "among", "versus", "upto",
    "ago", "when", "where", "which", "that", "who", "up", "down",
    // pronouns and quantifiers
    "it", "this", "these", "those", "he", "she", "they", "we", "you", "all", "both", "either", "neither", "none",
    "every", "any", "some",
    // degree and doubt
    "more", "less", "fewer", "least", "most", "only", "almost", "nearly", "about", "roughly", "approximately", "maybe",
    "perhaps", "possibly", "probably", "wrong", "incorrect", "correct", "right", "false", "true", "impossible",
    "undefined", "unknown", "answer", "extraneous", "rejected", "discarded", "excluded", "invalid", "nope", "bound",
    "etc",
    // words of mathematics
    "times", "fold", "twice", "thrice", "once", "plus", "minus", "negative", "positive", "squared", "cubed", "doubled",
    "tripled", "halved", "factorial", "choose", "root", "log", "ln", "modulo", "mod", "divided", "multiplied", "power",
    "reciprocal", "inverse", "imaginary", "base", "pi", "infinity", "th", "st", "nd", "rd", "bn", "mn", "mil", "mio",
    "mln", "mrd", "works", "work", "fails", "ths", "nds", "rds", "tens", "prime", "exp", "doubling", "percentile",
    "permille", "basis", "grand", "bil", "myriad", "remainder", "mega", "giga", "tera", "deca", "deci", "centi",
    "milli", "micro", "nano"};

// The same in French, German, Italian, Portuguese, Russian and Spanish: numbers, parts, multiples, negations. English
// nouns such as "tiers" and "quarts" are left out.
constexpr std::string_view kNoUnitsElsewhere[] = {
    // numbers
    "hundert", "tausend", "tausende", "milliarde", "milliarden", "dutzend", "mille", "millier", "milliers", "milliard",
    "milliards", "centaine", "centaines", "douzaine", "douzaines", "cien", "ciento", "cientos", "centenas", "millón",
    "millones", "millar", "millares", "docena", "docenas", "cem", "cento", "milhar", "milhares", "milhão", "milhões",
    "bilhão", "bilhões", "dúzia", "dúzias", "mila", "milione", "milioni", "miliardo", "miliardi", "dozzina", "dozzine",
    "centinaia", "migliaia", "сто", "сотня", "сотни", "сотен", "тысяча", "тысячи", "тысяч", "миллион", "миллиона",
    "миллионов", "миллиард", "миллиарда", "миллиардов", "дюжина", "дюжины", "дюжин", "десятка", "десятков",
    // parts
    "halb", "halbe", "hälfte", "drittel", "viertel", "fünftel", "sechstel", "siebtel", "achtel", "neuntel", "zehntel",
    "zwanzigstel", "hundertstel", "tausendstel", "promille", "‰", "demi", "demie", "demis", "moitié", "cinquième",
    "cinquièmes", "sixième", "sixièmes", "septième", "septièmes", "huitième", "huitièmes", "neuvième", "neuvièmes",
    "dixième", "dixièmes", "centième", "centièmes", "millième", "millièmes", "medio", "medios", "mitad", "tercio",
    "tercios", "cuarto", "cuartos", "quinto", "quintos", "sexto", "sextos", "séptimo", "séptimos", "octavo", "octavos",
    "noveno", "novenos", "décimo", "décimos", "décima", "décimas", "centésimo", "centésimos", "centésima", "centésimas",
    "milésimo", "milésimos", "milésima", "milésimas", "meio", "meios", "metade", "terço", "terços", "quarto", "quartos",
    "sétimo", "sétimos", "oitavo", "oitavos", "nono", "nonos", "mezzo", "mezzi", "metà", "terzo", "terzi", "quarti",
    "quinti", "sesto", "sesti", "settimo", "settimi", "ottavo", "ottavi", "noni", "decimo", "decimi", "centesimo",
    "centesimi", "millesimo", "millesimi", "половина", "половины", "треть", "трети", "третей", "третьих", "четверть",
    "четверти", "четвертей", "четвёртых", "четвертых", "пятых", "шестых", "седьмых", "восьмых", "девятых", "десятых",
    "сотых", "тысячных", "milion", "miliona", "milionów", "milyon", "juta", "triệu", "tusen", "duizend", "тыс", "млн",
    "млрд", "tysiąc", "tysiące", "tysięcy", "लाख", "हजार", "करोड़", "مليون", "ألف", "مليار", "googol",
    // verbs, verdicts
    "es", "está", "é", "è", "ist", "est", "incorrecto", "errado", "sbagliato", "falsch", "faux", "неверно",
    "неправильно", "خطأ", "negated", "inverted", "hypothetically", "nonsense", "repeating", "recurring",

    // multiples, powers, signs
    "mal", "fach", "fois", "veces", "vez", "vezes", "volte", "раз", "раза", "quadrat", "hoch", "carré", "cuadrado",
    "cubo", "quadrado", "quadrato", "negativ", "négatif", "negativo", "moins", "menos", "meno", "минус",
    // comparisons, doubt, negations
    "weniger", "mehr", "mindestens", "höchstens", "etwa", "ungefähr", "environ", "peut-être", "más", "mais", "più",
    "больше", "меньше", "более", "менее", "nicht", "kein", "keine", "oder", "pas", "aucun", "não", "non", "ou", "или",
    "не", "нет", "falsch", "faux", "falso", "неверно", "조", "배"};

// Words of Chinese, Japanese and Korean with which a phrase is no unit either: they count, compare, join or deny.
constexpr std::string_view kNoUnitCharacters[] = {
    "分之",   "倍",     "以上", "以下", "左右", "多", "余",   "半", "负",   "不",   "错",   "非",   "没",
    "的平方", "的立方", "未満", "未满", "或",   "和", "是",   "至", "到",   "百",   "千",   "万",   "亿",
    "第",     "平方根", "次方", "折",   "成",   "割", "間違", "誤", "より", "以外", "逆",   "이상", "이하",
    "では",   "아닙",   "아니", "十",   "兆",   "십", "백",   "천", "만",   "억",   "분의", "절반"};

// Whether a word holds an arrow, a mathematical sign, a mark that strikes letters out or a picture that denies. Other
// pictures say nothing.
bool has_sign(std::string_view word) {
  static constexpr std::string_view kUnits[] = {"∘", "⊙"};
  static constexpr std::string_view kDenials[] = {"❌", "✗", "✘", "✖", "❓", "❔", "🚫", "👎", "‱"};
  for (size_t i = 0; i < word.size(); ++i) {
    const auto rest = word.substr(i);
    const auto begins = [&](std::string_view sign) { return rest.starts_with(sign); };
    const auto byte = [&](size_t at) { return at < rest.size() ? static_cast<unsigned char>(rest[at]) : 0u; };
    const bool sign = byte(0) == 0xE2 && byte(1) >= 0x86 && byte(1) <= 0x8B;  // U+2180 to U+22FF
    const bool strike = byte(0) == 0xCC && byte(1) >= 0xB4 && byte(1) <= 0xB8;
    if (strike || (sign && std::none_of(std::begin(kUnits), std::end(kUnits), begins))) return true;
    if (std::any_of(std::begin(kDenials), std::end(kDenials), begins)) return true;
  }
  return false;
}

bool is_statement_word(const std::string& word) {
  if (std::find(std::begin(kNoUnits), std::end(kNoUnits), word) != std::end(kNoUnits)) return true;
  if (std::find(std::begin(kNoUnitsElsewhere), std::end(kNoUnitsElsewhere), word) != std::end(kNoUnitsElsewhere))
    return true;
  for (const std::string_view part : {"n't", "hundred", "thousand", "illion", "upled", "fold"}) {
    if (word.find(part) != std::string::npos) return true;
  }
  if (has_sign(word)) return true;
  if ((word[0] & 0x80) != 0)
    return std::any_of(std::begin(kNoUnitCharacters), std::end(kNoUnitCharacters),
                       [&](std::string_view c) { return word.find(c) != std::string::npos; });
  return number_word(word).has_value() || scale_word(word).has_value();
}

// Splits "m/s^2", "square feet", "J/(mol K)" into words, '/', '*', '^' and brackets.
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
      if (c == '/' || c == '^' || c == '*' || c == '(' || c == ')') parts.emplace_back(1, c);
      ++i;
    }
  }
  return parts;
}

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
      } else if (low == "(") {
        group_sign_ = sign_;  // J/(mol K) divides by both
        sign_ = 1;
      } else if (low == ")") {
        group_sign_ = 1;
      } else if (low == "square" || low == "sq") {
        power_ = 2;
      } else if (low == "cubic" || low == "cu") {
        power_ = 3;
      } else if (low == "*" || low == "the" || low == "of" || low == "each" || low == "a") {
        continue;
      } else if (qualifies_noun(low)) {
        continue;
      } else if (words > 0 && begins_place(low)) {
        return finished(unit, noun);
      } else if (low == "^" || is_digit(low[0]) || low[0] == '-') {
        return std::nullopt;
      } else if (is_statement_word(low) || ++words > 4 || (low.size() == 1 && !find_unit(parts_[at_]))) {
        return std::nullopt;
      } else {
        append(unit, noun);
      }
    }
    return finished(unit, noun);
  }

 private:
  // "18 more apples", "45 positive integers": an adjective that says nothing where a noun follows.
  bool qualifies_noun(const std::string& low) const {
    const bool adjective = low == "more" || low == "positive" || low == "prime" || low == "years" || low == "correct";
    if (!adjective || at_ + 1 >= parts_.size() || !is_letter(parts_[at_ + 1][0])) return false;
    const std::string next = lower(parts_[at_ + 1]);
    return low == "years" ? next == "old" : next.size() > 2 && !is_statement_word(next);
  }

  // "7 people at the party", "120 ways to choose": what follows the noun says where or what for, if no word of it
  // counts or compares.
  bool begins_place(const std::string& low) const {
    static constexpr std::string_view kPrepositions[] = {"at", "in", "on", "for", "with", "of"};
    const auto is_preposition = [](const std::string& word) {
      return std::find(std::begin(kPrepositions), std::end(kPrepositions), word) != std::end(kPrepositions);
    };
    const std::string noun = singular_noun(lower(parts_[at_ - 1]));
    if (!(is_preposition(low) || (low == "to" && noun == "way")) || at_ + 1 >= parts_.size() || parts_.size() - at_ > 7)
      return false;
    return std::all_of(parts_.begin() + static_cast<std::ptrdiff_t>(at_) + 1, parts_.end(),
                       [&](const std::string& part) {
                         const std::string word = lower(part);
                         return is_letter(word[0]) && (is_preposition(word) || !is_statement_word(word)) &&
                                word != "half" && word != "quarter";
                       });
  }

  std::optional<Unit> finished(Unit unit, const std::string& noun) const {
    if (power_ != 1) return std::nullopt;  // "3 square"
    return noun.empty() ? unit : multiply(unit, named(noun));
  }

  void append(Unit& unit, std::string& noun) {
    const std::string& word = parts_[at_];
    const std::string low = lower(word);
    const int power = take_power() * group_sign_;
    if (const auto known = unit_from_table(word)) {
      unit = multiply(unit, *known, sign_ * power);
    } else if (low == "mph" || low == "kph" || low == "mps") {
      unit = multiply(unit, *unit_from_table(low == "mph" ? "mile" : low == "kph" ? "km" : "m"));
      unit = multiply(unit, *unit_from_table(low == "mps" ? "s" : "h"), -1);
    } else if (sign_ < 0 || power != 1) {
      unit = multiply(unit, named(singular_noun(low)), sign_ * power);
    } else {
      noun += (noun.empty() ? "" : " ") + singular_noun(low);
    }
    power_ = 1;
    if (sign_ < 0) sign_ = 1;
  }

  static bool is_exponent(const std::string& part) {
    return part.size() <= 2 && is_digit(part.back()) && (part.size() == 1 || is_digit(part[0]) || part[0] == '-') &&
           part != "0";
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
  int sign_ = 1;        // -1 when the next word divides
  int group_sign_ = 1;  // -1 in brackets that divide as a whole
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
  if (low == "mph" || low == "kph" || low == "mps") return PhraseReader({low}).read();
  return unit_from_table(word);
}

bool is_unit_formula(std::string_view text) {
  const auto parts = split_phrase(text);
  return !parts.empty() && std::all_of(parts.begin(), parts.end(), [](const std::string& part) {
    return !is_letter(part[0]) || lower(part) == "per" || part == "cdot" || part == "times" ||
           find_unit(part).has_value();
  });
}

std::optional<Unit> parse_unit(std::string_view phrase) {
  const auto parts = split_phrase(phrase);
  if (parts.empty()) return std::nullopt;
  if (parts.size() == 1) {
    if (const auto unit = find_unit(parts[0])) return unit;
  }
  if (parts.size() == 2 && lower(parts[0]).starts_with("degree") && parts[1].size() > 1) {
    return unit_from_table(parts[1]);  // degrees Celsius
  }
  if (parts.size() == 2 && lower(parts[0]) == "degree" && parts[1].size() == 1) {
    return unit_from_table(parts[1] == "C" ? "celsius" : parts[1] == "F" ? "fahrenheit" : "");
  }
  return PhraseReader(parts).read();
}

}  // namespace grpo::verifier

#pragma once

#include <array>
#include <string_view>

// The commands and names that the lexer knows, by what they do.
namespace grpo::verifier {

inline constexpr std::array<std::string_view, 46> kFunctions = {
    "sin",    "cos",     "tan",     "cot",     "sec",   "csc",         "arcsin", "arccos", "arctan", "arccot",
    "arcsec", "arccsc",  "asin",    "acos",    "atan",  "sinh",        "cosh",   "tanh",   "coth",   "sech",
    "csch",   "arcsinh", "arccosh", "arctanh", "asinh", "acosh",       "atanh",  "log",    "ln",     "lg",
    "exp",    "sqrt",    "max",     "min",     "gcd",   "lcm",         "abs",    "floor",  "ceil",   "cbrt",
    "sgn",    "arg",     "cis",     "cosec",   "det",   "operatorname"};

inline constexpr std::array<std::string_view, 46> kGreek = {
    "alpha",   "beta",    "gamma",  "delta",   "epsilon", "varepsilon", "zeta",  "eta",    "theta", "vartheta",
    "iota",    "kappa",   "lambda", "mu",      "nu",      "xi",         "rho",   "varrho", "sigma", "tau",
    "upsilon", "phi",     "varphi", "chi",     "psi",     "omega",      "Gamma", "Delta",  "Theta", "Lambda",
    "Xi",      "Pi",      "Sigma",  "Upsilon", "Phi",     "Psi",        "Omega", "ell",    "hbar",  "odot",
    "mho",     "partial", "nabla",  "aleph",   "star",    "bigstar"};

// Commands that only add space or choose a size or font.
inline constexpr std::array<std::string_view, 42> kInvisible = {
    "tiny",      "scriptsize", "footnotesize", "small",        "large",        "Large",     "LARGE",
    "huge",      "Huge",       "space",        "strut",        "quad",         "qquad",     "enspace",
    "thinspace", "medspace",   "thickspace",   "negthinspace", "displaystyle", "textstyle", "scriptstyle",
    "limits",    "nolimits",   "middle",       "big",          "Big",          "bigg",      "Bigg",
    "bigl",      "bigr",       "Bigl",         "Bigr",         "biggl",        "biggr",     "Biggl",
    "Biggr",     "hfill",      "rm",           "bf",           "it",           "nonumber",  "normalsize"};

// Commands that are skipped together with their first group, since neither has a value: \color{red}, \label{a}.
inline constexpr std::array<std::string_view, 11> kSkipped = {
    "hspace", "vspace", "phantom", "vphantom", "hphantom", "label", "tag", "color", "textcolor", "colorbox", "hspace*"};

// Commands whose group is read as mathematics.
inline constexpr std::array<std::string_view, 15> kStyles = {
    "mathcal", "mathbf",         "boldsymbol", "mathit", "mathsf",     "mathtt",   "vec",      "bm",
    "pmb",     "overrightarrow", "boxed",      "fbox",   "ensuremath", "mathring", "underline"};
inline constexpr std::array<std::string_view, 12> kTexts = {
    "text", "mbox", "textbf", "textit", "textrm", "textnormal", "textsf", "texttt", "hbox", "textup", "textsc", "emph"};
inline constexpr std::array<std::string_view, 4> kRomans = {"mathrm", "operatorname", "mathop", "operatorname*"};
inline constexpr std::array<std::string_view, 6> kAccents = {"bar", "hat", "tilde", "overline", "widehat", "widetilde"};

}  // namespace grpo::verifier

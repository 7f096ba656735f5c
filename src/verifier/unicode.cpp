#include "verifier/unicode.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace grpo::verifier {
namespace {

struct Replacement {
  char32_t code;
  const char* text;
};

// Sorted by code point.
constexpr Replacement kReplacements[] = {
    {0x00A0, " "},
    {0x00A2, " \\text{cents} "},
    {0x00A3, "\\pound "},
    {0x00A5, "\\yen "},
    {0x00AD, ""},
    {0x00B0, "\\degree "},
    {0x00B1, "\\pm "},
    {0x00B5, "\\mu "},
    {0x00B7, "\\cdot "},
    {0x00BA, "\\degree "},
    {0x00BC, "\\frac{1}{4}"},
    {0x00BD, "\\frac{1}{2}"},
    {0x00BE, "\\frac{3}{4}"},
    {0x00D7, "\\times "},
    {0x00F7, "\\div "},
    {0x02B9, "'"},
    {0x037E, ";"},
    {0x0393, "\\Gamma "},
    {0x0394, "\\Delta "},
    {0x0398, "\\Theta "},
    {0x039B, "\\Lambda "},
    {0x03A3, "\\Sigma "},
    {0x03A6, "\\Phi "},
    {0x03A8, "\\Psi "},
    {0x03A9, "\\Omega "},
    {0x03B1, "\\alpha "},
    {0x03B2, "\\beta "},
    {0x03B3, "\\gamma "},
    {0x03B4, "\\delta "},
    {0x03B5, "\\epsilon "},
    {0x03B6, "\\zeta "},
    {0x03B7, "\\eta "},
    {0x03B8, "\\theta "},
    {0x03B9, "\\iota "},
    {0x03BA, "\\kappa "},
    {0x03BB, "\\lambda "},
    {0x03BC, "\\mu "},
    {0x03BD, "\\nu "},
    {0x03BE, "\\xi "},
    {0x03C0, "\\pi "},
    {0x03C1, "\\rho "},
    {0x03C3, "\\sigma "},
    {0x03C4, "\\tau "},
    {0x03C6, "\\phi "},
    {0x03C7, "\\chi "},
    {0x03C8, "\\psi "},
    {0x03C9, "\\omega "},
    {0x03D5, "\\phi "},
    {0x060C, ","},
    {0x061B, ";"},
    {0x061C, ""},
    {0x066A, "\\%"},
    {0x066B, "."},
    {0x066C, ","},
    {0x2002, " "},
    {0x2003, " "},
    {0x2009, " "},
    {0x200A, " "},
    {0x200B, ""},
    {0x200C, ""},
    {0x200D, ""},
    {0x200E, ""},
    {0x200F, ""},
    {0x2010, "-"},
    {0x2011, "-"},
    {0x2012, "-"},
    {0x2013, "-"},
    {0x2014, "-"},
    {0x2016, "\\|"},
    {0x2018, "'"},
    {0x2019, "'"},
    {0x201C, "\""},
    {0x201D, "\""},
    {0x2022, "\\cdot "},
    {0x2026, "\\ldots "},
    {0x202A, ""},
    {0x202B, ""},
    {0x202C, ""},
    {0x202D, ""},
    {0x202E, ""},
    {0x202F, " "},
    {0x2032, "'"},
    {0x2033, "''"},
    {0x2044, "/"},
    {0x2060, ""},
    {0x2061, ""},
    {0x2062, ""},
    {0x2066, ""},
    {0x2067, ""},
    {0x2068, ""},
    {0x2069, ""},
    {0x20AC, "\\euro "},
    {0x20B9, "\\rupee "},
    {0x2102, "\\mathbb{C}"},
    {0x2103, "\\degree C"},
    {0x2109, "\\degree F"},
    {0x2113, "\\ell "},
    {0x2115, "\\mathbb{N}"},
    {0x211A, "\\mathbb{Q}"},
    {0x211D, "\\mathbb{R}"},
    {0x2124, "\\mathbb{Z}"},
    {0x2126, "\\Omega "},
    {0x2147, "e"},
    {0x2148, "i"},
    {0x2150, "\\frac{1}{7}"},
    {0x2151, "\\frac{1}{9}"},
    {0x2152, "\\frac{1}{10}"},
    {0x2153, "\\frac{1}{3}"},
    {0x2154, "\\frac{2}{3}"},
    {0x2155, "\\frac{1}{5}"},
    {0x2156, "\\frac{2}{5}"},
    {0x2157, "\\frac{3}{5}"},
    {0x2158, "\\frac{4}{5}"},
    {0x2159, "\\frac{1}{6}"},
    {0x215A, "\\frac{5}{6}"},
    {0x215B, "\\frac{1}{8}"},
    {0x215C, "\\frac{3}{8}"},
    {0x215D, "\\frac{5}{8}"},
    {0x215E, "\\frac{7}{8}"},
    {0x2192, "\\to "},
    {0x21D2, "\\Rightarrow "},
    {0x2205, "\\emptyset "},
    {0x2208, "\\in "},
    {0x2209, "\\notin "},
    {0x220F, "\\prod "},
    {0x2211, "\\sum "},
    {0x2212, "-"},
    {0x2213, "\\mp "},
    {0x2215, "/"},
    {0x2216, "\\setminus "},
    {0x2217, "*"},
    {0x2219, "\\cdot "},
    {0x221A, "\\rootof "},
    {0x221B, "\\cuberootof "},
    {0x221C, "\\fourthrootof "},
    {0x221E, "\\infty "},
    {0x2220, "\\angle "},
    {0x2223, "|"},
    {0x2227, "\\wedge "},
    {0x2228, "\\vee "},
    {0x2229, "\\cap "},
    {0x222A, "\\cup "},
    {0x222B, "\\int "},
    {0x2236, ":"},
    {0x223C, "\\sim "},
    {0x2248, "\\approx "},
    {0x2260, "\\neq "},
    {0x2261, "\\equiv "},
    {0x2264, "\\leq "},
    {0x2265, "\\geq "},
    {0x2266, "\\leq "},
    {0x2267, "\\geq "},
    {0x22C5, "\\cdot "},
    {0x2308, "\\lceil "},
    {0x2309, "\\rceil "},
    {0x230A, "\\lfloor "},
    {0x230B, "\\rfloor "},
    {0x2329, "\\langle "},
    {0x232A, "\\rangle "},
    {0x25B3, "\\triangle "},
    {0x27E8, "\\langle "},
    {0x27E9, "\\rangle "},
    {0x2A7D, "\\leq "},
    {0x2A7E, "\\geq "},
    {0x3000, " "},
    {0x3001, ","},
    {0x3002, ". "},
    {0x3008, "\\langle "},
    {0x3009, "\\rangle "},
    {0xFE0F, ""},
    {0xFE63, "-"},
    {0xFEFF, ""},
    {0xFFE5, "\\yen "},
};

// The digits 0 of scripts in which 1 to 9 follow it.
constexpr std::array<char32_t, 5> kDigitZeros = {0x0660, 0x06F0, 0x0966, 0x09E6, 0xFF10};

const char* replacement(char32_t code) {
  const auto* end = std::end(kReplacements);
  const auto* found = std::lower_bound(std::begin(kReplacements), end, code,
                                       [](const Replacement& r, char32_t c) { return r.code < c; });
  return found != end && found->code == code ? found->text : nullptr;
}

// The ASCII character that a raised character stands for, or 0.
char superscript(char32_t code) {
  switch (code) {
    case 0x00B9:
      return '1';
    case 0x00B2:
      return '2';
    case 0x00B3:
      return '3';
    case 0x207A:
      return '+';
    case 0x207B:
      return '-';
    case 0x207D:
      return '(';
    case 0x207E:
      return ')';
    case 0x207F:
      return 'n';
    case 0x02E3:
      return 'x';
    case 0x2071:
      return 'i';
    default:
      break;
  }
  return code == 0x2070 || (code >= 0x2074 && code <= 0x2079) ? static_cast<char>('0' + (code - 0x2070)) : '\0';
}

char subscript(char32_t code) {
  if (code >= 0x2080 && code <= 0x2089) return static_cast<char>('0' + (code - 0x2080));
  if (code == 0x2099) return 'n';
  return '\0';
}

// Mathematical alphanumeric symbols: 13 styles of A-Z a-z, then 5 of 0-9.
char styled_letter(char32_t code) {
  if (code >= 0x1D400 && code <= 0x1D6A3) {
    const int i = static_cast<int>((code - 0x1D400) % 52);
    return static_cast<char>(i < 26 ? 'A' + i : 'a' + i - 26);
  }
  return code >= 0x1D7CE && code <= 0x1D7FF ? static_cast<char>('0' + (code - 0x1D7CE) % 10) : '\0';
}

// Runs of raised or lowered characters become one group.
class Scripts {
 public:
  explicit Scripts(std::string& out) : out_(out) {}
  void add(char mark, char c) {
    if (open_ != mark) {
      close();
      out_ += mark;
      out_ += '{';
      open_ = mark;
    }
    out_ += c;
  }
  void close() {
    if (open_ != '\0') out_ += '}';
    open_ = '\0';
  }

 private:
  std::string& out_;
  char open_ = '\0';
};

}  // namespace

char32_t next_code_point(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(at++);
  if (lead < 0x80) return lead;
  const int extra = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  if (lead < 0xC2 || lead > 0xF4 || at + static_cast<size_t>(extra) > text.size()) return 0xFFFD;
  char32_t code = lead & (0x3F >> extra);
  for (int i = 0; i < extra; ++i) {
    if ((byte(at + static_cast<size_t>(i)) & 0xC0) != 0x80) return 0xFFFD;
    code = (code << 6) | (byte(at + static_cast<size_t>(i)) & 0x3F);
  }
  const bool overlong = (extra == 2 && code < 0x800) || (extra == 3 && code < 0x10000);
  if (overlong || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return 0xFFFD;
  at += static_cast<size_t>(extra);
  return code;
}

void append_utf8(std::string& out, char32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

std::string to_latex(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  Scripts scripts(out);
  for (size_t at = 0; at < text.size();) {
    const char32_t code = next_code_point(text, at);
    if (const char up = superscript(code)) {
      scripts.add('^', up);
      continue;
    }
    if (const char down = subscript(code)) {
      scripts.add('_', down);
      continue;
    }
    scripts.close();
    if (code < 0x80) {
      out += static_cast<char>(code);
      continue;
    }
    const auto zero =
        std::find_if(kDigitZeros.begin(), kDigitZeros.end(), [code](char32_t z) { return code >= z && code < z + 10; });
    if (zero != kDigitZeros.end()) {
      out += static_cast<char>('0' + (code - *zero));
    } else if (code >= 0xFF01 && code <= 0xFF5E) {
      out += static_cast<char>(code - 0xFF01 + '!');
    } else if (const char letter = styled_letter(code)) {
      out += letter;
    } else if (const char* plain = replacement(code)) {
      out += plain;
    } else {
      append_utf8(out, code);
    }
  }
  scripts.close();
  return out;
}

}  // namespace grpo::verifier

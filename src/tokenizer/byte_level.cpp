#include "tokenizer/byte_level.h"

#include <array>

#include "tokenizer/unicode.h"

namespace grpo::tokenizer {
namespace {

struct Alphabet {
  static constexpr char32_t kEnd = 0x144;  // one past the last character used
  std::array<std::string, 256> character_of_byte;
  std::array<int, kEnd> byte_of_character;

  Alphabet() {
    byte_of_character.fill(-1);
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xff && byte != 0xad);
      const char32_t c = printable ? static_cast<char32_t>(byte) : next++;
      append_utf8(character_of_byte[byte], c);
      byte_of_character[c] = byte;
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

void append_byte_level(std::string& text, std::string_view bytes) {
  const auto& characters = alphabet().character_of_byte;
  for (const char byte : bytes) text += characters[static_cast<unsigned char>(byte)];
}

void append_bytes_of_token(std::string& bytes, std::string_view token) {
  const auto& byte_of = alphabet().byte_of_character;
  const size_t start = bytes.size();
  for (size_t i = 0; i < token.size();) {
    const CodePoint c = code_point_at(token, i);
    const int byte = c.value < Alphabet::kEnd ? byte_of[c.value] : -1;
    if (byte < 0) {
      bytes.resize(start);
      bytes += token;
      return;
    }
    bytes += static_cast<char>(byte);
    i += c.length;
  }
}

}  // namespace grpo::tokenizer

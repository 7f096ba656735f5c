#include "tokenizer/decoder.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"

namespace grpo::tokenizer {
namespace {

using Json = nlohmann::json;

std::string decoded(const Json& config, std::vector<std::string> tokens) {
  make_decoder(config)->apply(tokens);
  std::string text;
  for (const auto& token : tokens) text += token;
  return text;
}

TEST(Decoder, JoinsTheBytesOfByteLevelTokens) {
  const Json config = {{"type", "ByteLevel"}};
  EXPECT_EQ(decoded(config, {"a\u0120", "\u00c3", "\u00a9"}), "a \u00e9");
  EXPECT_EQ(decoded(config, {"<\uff5cx\uff5c>"}), "<\uff5cx\uff5c>");  // not in the byte alphabet: as it is
}

TEST(Decoder, TurnsRunsOfByteTokensIntoCharacters) {
  const Json config = {{"type", "ByteFallback"}};
  EXPECT_EQ(decoded(config, {"a", "<0xC3>", "<0xA9>", "b"}), "a\u00e9b");
  EXPECT_EQ(decoded(config, {"<0x41>", "<0xC3>", "b"}), "\ufffd\ufffdb");  // the whole run is replaced, byte by byte
  EXPECT_EQ(decoded(config, {"<0xG1>"}), "<0xG1>");
}

TEST(Decoder, RunsLlamasSequence) {
  const Json config = {{"type", "Sequence"},
                       {"decoders",
                        {{{"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", " "}},
                         {{"type", "ByteFallback"}},
                         {{"type", "Fuse"}},
                         {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}};
  EXPECT_EQ(decoded(config, {"\u2581\u2581a", "\u2581b"}), " a b");
}

TEST(Decoder, DropsMetaspacesFirstMark) {
  const Json config = {{"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "always"}};
  EXPECT_EQ(decoded(config, {"\u2581a", "\u2581b"}), "a b");
}

TEST(Decoder, JoinsWithSpacesWhereNoneIsGiven) { EXPECT_EQ(decoded(nullptr, {"a", "b"}), "a b"); }

TEST(Decoder, NamesATypeItDoesNotKnow) {
  EXPECT_THAT(
      [] {
        make_decoder({{"type", "WordPiece"}});
      },
      ::testing::ThrowsMessage<base::IoError>(::testing::HasSubstr("decoder of type WordPiece")));
}

}  // namespace
}  // namespace grpo::tokenizer

#include <gtest/gtest.h>

#include "tokenizer/small_tokenizer.h"

namespace grpo::tokenizer {
namespace {

using testing::Ids;
using Chunk = std::optional<std::string>;

std::unique_ptr<Tokenizer> byte_level() {
  auto json = testing::small_tokenizer_json({"a", "\u00c3", "\u00a9", "<s>"}, {});  // a, bytes C3 and A9
  json["decoder"] = {{"type", "ByteLevel"}};
  testing::add_token(json, "<s>", {{"special", true}});
  return testing::load_tokenizer(json);
}

TEST(DecodeStream, HoldsACharacterBackUntilItIsWhole) {
  const auto tokenizer = byte_level();
  DecodeStream stream(*tokenizer);
  EXPECT_EQ(stream.push(0), Chunk("a"));
  EXPECT_EQ(stream.push(1), std::nullopt);
  EXPECT_EQ(stream.push(2), Chunk("\u00e9"));
  EXPECT_EQ(stream.finish(), "");
}

TEST(DecodeStream, HandsOutAnIncompleteCharacterAtTheEnd) {
  const auto tokenizer = byte_level();
  DecodeStream stream(*tokenizer);
  EXPECT_EQ(stream.push(0), Chunk("a"));
  EXPECT_EQ(stream.push(1), std::nullopt);
  EXPECT_EQ(stream.finish(), "\ufffd");
  EXPECT_EQ(stream.push(0), Chunk("a"));  // and starts afresh
}

TEST(DecodeStream, SkipsSpecialTokensOnRequest) {
  const auto tokenizer = byte_level();
  DecodeStream stream(*tokenizer, true);
  EXPECT_EQ(stream.push(3), std::nullopt);
  EXPECT_EQ(stream.push(0), Chunk("a"));
  EXPECT_EQ(stream.push(3), std::nullopt);
  EXPECT_EQ(stream.finish(), "");
}

TEST(DecodeStream, KeepsSpacesThatOnlyTheFirstWordLoses) {
  auto json = testing::small_tokenizer_json({"\u2581a", "\u2581"}, {});
  json["decoder"] = {{"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "always"}};
  const auto tokenizer = testing::load_tokenizer(json);
  DecodeStream stream(*tokenizer);
  EXPECT_EQ(stream.push(0), Chunk("a"));
  EXPECT_EQ(stream.push(0), Chunk(" a"));
  EXPECT_EQ(stream.push(0), Chunk(" a"));
}

TEST(DecodeStream, KeepsWhatItHandedOutWhenALaterByteSpoilsIt) {
  auto json = testing::small_tokenizer_json({"<0x41>", "<0xC3>", "b"}, {});
  json["decoder"] = {{"type", "ByteFallback"}};
  const auto tokenizer = testing::load_tokenizer(json);
  DecodeStream stream(*tokenizer);
  EXPECT_EQ(stream.push(0), Chunk("A"));
  EXPECT_EQ(stream.push(1), std::nullopt);
  EXPECT_EQ(stream.push(2), Chunk("\ufffdb"));
}

}  // namespace
}  // namespace grpo::tokenizer

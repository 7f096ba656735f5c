#include "grpo/tokenizer/tokenizer.h"

#include <gmock/gmock.h>

#include <atomic>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "grpo/io/json.h"
#include "support/golden.h"
#include "support/message_of.h"
#include "tokenizer/small_tokenizer.h"

namespace grpo::tokenizer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::Ids;
using ::testing::ThrowsMessage;
using Json = nlohmann::json;

Json letters() { return testing::small_tokenizer_json({"a", "b", "ab", "<s>"}, {"a b"}); }

TEST(Tokenizer, KnowsTheIdsOfItsTokens) {
  const auto tokenizer = testing::load_tokenizer(letters());
  EXPECT_EQ(tokenizer->token_id("ab"), 2);
  EXPECT_EQ(tokenizer->token_id("abc"), std::nullopt);
  EXPECT_EQ(tokenizer->token(2), "ab");
  EXPECT_EQ(tokenizer->token(4), std::nullopt);
  EXPECT_EQ(tokenizer->token(-1), std::nullopt);
  EXPECT_EQ(tokenizer->vocab_size(), 4);
}

TEST(Tokenizer, LeavesUnknownIdsOut) { EXPECT_EQ(testing::load_tokenizer(letters())->decode(Ids{0, 99, -3, 1}), "ab"); }

TEST(Tokenizer, ReadsInvalidUtf8AsTheReplacementCharacter) {
  const auto tokenizer = testing::load_tokenizer(testing::small_tokenizer_json({"a", "\ufffd"}, {}));
  EXPECT_EQ(tokenizer->encode("a\xe4\xb8"), (Ids{0, 1}));
}

TEST(Tokenizer, PutsTheBosInFrontOnlyOnce) {
  Json json = letters();
  testing::add_token(json, "<s>", {{"special", true}});
  json["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}}, {{"Sequence", {{"id", "A"}}}}}},
      {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {3}}}}}}};
  const auto tokenizer = testing::load_tokenizer(json);
  EXPECT_EQ(tokenizer->bos_prefix(), (Ids{3}));
  EXPECT_EQ(tokenizer->encode("ab"), (Ids{2}));
  EXPECT_EQ(tokenizer->encode_with_bos("ab"), (Ids{3, 2}));
  EXPECT_EQ(tokenizer->encode_with_bos("<s>ab"), (Ids{3, 2}));
}

TEST(Tokenizer, FindsTheEosOfTheModelFolder) {
  const testing::TempDir folder;
  io::write_json(folder.path() / "tokenizer.json", letters());
  EXPECT_EQ(Tokenizer::load(folder.path())->eos_id(), std::nullopt);
  io::write_json(folder.path() / "tokenizer_config.json", {{"eos_token", {{"content", "<s>"}}}});
  EXPECT_EQ(Tokenizer::load(folder.path())->eos_id(), 3);
}

TEST(Tokenizer, EncodesTheSameFromManyThreads) {
  Json json = letters();
  json["pre_tokenizer"] = {{"type", "WhitespaceSplit"}};
  const auto tokenizer = testing::load_tokenizer(json);
  const std::string text = "ab ba \U00010d50 a" + std::string(100, 'b');
  const Ids expected = tokenizer->encode(text);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 200; ++k) wrong += tokenizer->encode(text) != expected;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

/// Loads a tokenizer.json with this text and returns the message of the error.
std::string error_of(const std::string& text) {
  const testing::TempDir folder;
  std::ofstream(folder.path() / "tokenizer.json") << text;
  return testing::message_of<base::IoError>([&] { Tokenizer::load(folder.path()); });
}

std::string error_with(const Json& patch) {
  Json json = letters();
  json.merge_patch(patch);
  return error_of(json.dump());
}

TEST(TokenizerErrors, NameTheFileAndTheComponent) {
  EXPECT_THAT(error_with({{"normalizer", {{"type", "Precompiled"}}}}),
              AllOf(HasSubstr("tokenizer.json: "), HasSubstr("normalizer of type Precompiled")));
  EXPECT_THAT(error_with({{"pre_tokenizer", {{"type", "BertPreTokenizer"}}}}), HasSubstr("pre_tokenizer of type Bert"));
  EXPECT_THAT(error_with({{"decoder", {{"type", "CTC"}}}}), HasSubstr("decoder of type CTC"));
  EXPECT_THAT(error_with({{"post_processor", {{"type", "BertProcessing"}}}}), HasSubstr("post_processor of type Bert"));
  EXPECT_THAT(error_with({{"model", {{"type", "Unigram"}}}}), HasSubstr("model of type Unigram"));
  EXPECT_THAT(error_with({{"model", {{"dropout", 0.1}}}}), HasSubstr("dropout"));
}

TEST(TokenizerErrors, SayWhatIsMalformed) {
  EXPECT_THAT(error_of("{\"model\": "), HasSubstr("tokenizer.json: "));
  EXPECT_THAT(error_of("{}"), HasSubstr("\"model\" is missing"));
  EXPECT_THAT(error_of("[]"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(error_with({{"model", {{"vocab", {{"x", "text"}}}}}}), HasSubstr("model.vocab: expected a number"));
  EXPECT_THAT(error_with({{"model", {{"vocab", {{"x", -5}}}}}}), HasSubstr("out of range"));
  EXPECT_THAT(error_with({{"model", {{"merges", {"a x"}}}}}), HasSubstr("model.merges[0]: token \"x\""));
  EXPECT_THAT(error_with({{"model", {{"merges", {"a b c"}}}}}), HasSubstr("\"a b c\""));
  EXPECT_THAT(error_with({{"model", {{"merges", {Json::array({"a", "b", "c"})}}}}}), HasSubstr("pairs of texts"));
  EXPECT_THAT(error_with({{"model", {{"merges", {{"a", "b"}}}}}}), HasSubstr("model.merges: expected a list"));
  EXPECT_THAT(error_with({{"normalizer", {{"type", "Prepend"}}}}), HasSubstr("prepend"));
}

// Each normalizer would be made by a call inside the one around it.
TEST(TokenizerErrors, RefuseComponentsNestedWithoutEnd) {
  std::string nested = "null";
  for (int i = 0; i < 20000; ++i) nested = R"({"type":"Sequence","normalizers":[)" + nested + "]}";
  std::string json = letters().dump();
  const std::string plain = "\"normalizer\":null";
  ASSERT_NE(json.find(plain), std::string::npos);
  json.replace(json.find(plain), plain.size(), "\"normalizer\":" + nested);
  const testing::TempDir folder;
  io::write_file_atomic(folder.path() / "tokenizer.json", json);
  try {
    Tokenizer::load(folder.path());
    FAIL();
  } catch (const base::IoError& error) {
    EXPECT_NE(std::string(error.what()).find("tokenizer.json: the document: JSON nested"), std::string::npos)
        << error.what();
  }
}

TEST(TokenizerErrors, SayWhatTheFolderLacks) {
  const testing::TempDir folder;
  EXPECT_THAT([&] { Tokenizer::load(folder.path()); }, ThrowsMessage<base::IoError>(HasSubstr("no tokenizer.json")));
  EXPECT_THAT([&] { Tokenizer::load(folder.path() / "x"); }, ThrowsMessage<base::IoError>(HasSubstr("no such file")));
  std::ofstream(folder.path() / "tokenizer.model") << "not a model";
  EXPECT_THAT([&] { Tokenizer::load(folder.path()); }, ThrowsMessage<base::IoError>(HasSubstr("tokenizer.model: ")));
}

}  // namespace
}  // namespace grpo::tokenizer

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "grpo/tokenizer/tokenizer.h"
#include "support/golden.h"

namespace grpo::tokenizer {
namespace {

using Ids = std::vector<int64_t>;
using Json = nlohmann::json;
namespace fs = std::filesystem;

struct Folder {
  fs::path path;
  std::unique_ptr<Tokenizer> tokenizer;
  bool sentencepiece() const { return fs::exists(path / "tokenizer.model"); }
};

void for_each_folder(const std::function<void(const Folder&)>& check) {
  for (const auto& path : testing::golden_folders("tokenizers")) {
    SCOPED_TRACE(path.filename().string());
    check({path, Tokenizer::load(path)});
  }
}

/// Runs over the rows of one file in every folder; returns how many there were.
size_t for_each_row(const char* file, const std::function<void(const Folder&, const Json&)>& check) {
  size_t count = 0;
  for_each_folder([&](const Folder& folder) {
    if (!fs::exists(folder.path / file)) return;
    for (const auto& row : testing::read_jsonl(folder.path / file)) {
      SCOPED_TRACE(row.at("id").get<std::string>());
      check(folder, row);
      ++count;
    }
  });
  return count;
}

std::vector<std::string> decoded_prefixes(const Tokenizer& tokenizer, const Ids& ids) {
  std::vector<std::string> prefixes;
  for (size_t n = 1; n <= ids.size(); ++n) prefixes.push_back(tokenizer.decode(std::span(ids).first(n)));
  return prefixes;
}

TEST(GoldenTokenizers, EncodeEveryTextToTheReferenceIds) {
  EXPECT_GT(for_each_row("encode.jsonl",
                         [](const Folder& folder, const Json& row) {
                           EXPECT_EQ(folder.tokenizer->encode(row.at("text").get<std::string>()),
                                     row.at("ids").get<Ids>());
                         }),
            0u);
}

TEST(GoldenTokenizers, ReadSpecialTokensAsPlainTextOnRequest) {
  size_t different = 0;
  for_each_row("encode.jsonl", [&](const Folder& folder, const Json& row) {
    const bool differs = row.contains("ids_special_as_text");
    different += differs;
    EXPECT_EQ(folder.tokenizer->encode(row.at("text").get<std::string>(), false),
              row.at(differs ? "ids_special_as_text" : "ids").get<Ids>());
  });
  EXPECT_GT(different, 0u);
}

TEST(GoldenTokenizers, DecodeIdsToTheReferenceText) {
  EXPECT_GT(for_each_row("encode.jsonl",
                         [](const Folder& folder, const Json& row) {
                           EXPECT_EQ(folder.tokenizer->decode(row.at("ids").get<Ids>()), row.at("decoded"));
                         }),
            0u);
}

TEST(GoldenTokenizers, LeaveSpecialTokensOutOnRequest) {
  size_t different = 0;
  for_each_row("encode.jsonl", [&](const Folder& folder, const Json& row) {
    if (folder.sentencepiece()) return;  // its reference has no such option
    const bool differs = row.contains("decoded_skip_special");
    different += differs;
    EXPECT_EQ(folder.tokenizer->decode(row.at("ids").get<Ids>(), true),
              row.at(differs ? "decoded_skip_special" : "decoded"));
  });
  EXPECT_GT(different, 0u);
}

TEST(GoldenTokenizers, DecodeEveryPrefixOfAStream) {
  size_t with_prefixes = 0;
  for_each_row("stream.jsonl", [&](const Folder& folder, const Json& row) {
    if (!row.contains("prefixes")) return;
    ++with_prefixes;
    EXPECT_EQ(decoded_prefixes(*folder.tokenizer, row.at("ids").get<Ids>()), row.at("prefixes"));
  });
  EXPECT_GT(with_prefixes, 0u);
}

TEST(GoldenTokenizers, DecodeIdsThatAreNotValidUtf8) {
  EXPECT_GT(for_each_row("decode_any_ids.jsonl",
                         [](const Folder& folder, const Json& row) {
                           const auto ids = row.at("ids").get<Ids>();
                           EXPECT_EQ(folder.tokenizer->decode(ids), row.at("decoded"));
                           EXPECT_EQ(decoded_prefixes(*folder.tokenizer, ids), row.at("prefixes"));
                         }),
            0u);
}

TEST(GoldenTokenizers, KnowTheirSizeAndBos) {
  for_each_folder([](const Folder& folder) {
    const Json meta = testing::read_golden_json(folder.path / "meta.json");
    const char* size = meta.contains("vocab_size_with_added") ? "vocab_size_with_added" : "vocab_size";
    EXPECT_EQ(folder.tokenizer->vocab_size(), meta.at(size));
    if (folder.sentencepiece()) {
      const int64_t bos = meta.at("bos"), eos = meta.at("eos");  // -1: none
      EXPECT_EQ(folder.tokenizer->bos_prefix(), bos < 0 ? Ids{} : Ids{bos});
      EXPECT_EQ(folder.tokenizer->eos_id().value_or(-1), eos);
    } else {
      EXPECT_EQ(folder.tokenizer->bos_prefix(), meta.at("bos_prefix_with_add_special_tokens").get<Ids>());
    }
  });
}

}  // namespace
}  // namespace grpo::tokenizer

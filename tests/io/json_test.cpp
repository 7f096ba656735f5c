#include "grpo/io/json.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "grpo/io/hash.h"
#include "grpo/io/json_errors.h"
#include "grpo/io/mapped_file.h"
#include "grpo/io/parse_json.h"
#include "support/golden.h"

namespace grpo::io {
namespace {

using ::testing::HasSubstr;

std::string said_of(const std::function<void()>& read) {
  try {
    with_json_errors("a.json", read);
  } catch (const base::IoError& error) {
    return error.what();
  }
  return "nothing";
}

TEST(WithJsonErrors, NamesThePlaceOfAKeyThatIsMissingAndOfAValueOfAnotherType) {
  const nlohmann::json json = {{"a", "text"}};
  EXPECT_EQ(said_of([&] { json.at("b"); }), "a.json: key 'b' not found");
  EXPECT_EQ(said_of([&] { json.at("a").get<int>(); }), "a.json: type must be number, but is string");
  EXPECT_EQ(said_of([&] { json.at("a").at(0); }), "a.json: cannot use at() with string");
  EXPECT_EQ(said_of([&] { json.value("a", 1.0); }), "a.json: type must be number, but is string");
  EXPECT_EQ(said_of([&] { throw base::IoError("b.json: another error"); }), "b.json: another error");
  EXPECT_THROW(with_json_errors<base::ConfigError>("a.json", [&] { json.at("b"); }), base::ConfigError);
  EXPECT_EQ(with_json_errors("a.json", [&] { return json.at("a").get<std::string>(); }), "text");
}

TEST(WithJsonErrors, NamesTheLineOfAReader) {
  const testing::TempDir dir;
  write_file_atomic(dir.path() / "a.jsonl", "{}\n\n{\"a\":[]}\n");
  JsonlReader reader((dir.path() / "a.jsonl").string());
  nlohmann::json line;
  while (reader.next(line)) {
  }
  EXPECT_THAT([&] { with_json_errors(reader, [&] { line.at("a").get<std::string>(); }); },
              ::testing::ThrowsMessage<base::IoError>(HasSubstr("a.jsonl:3: type must be string, but is array")));
}

std::string nested(size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(ParseJson, RefusesWhatIsNestedSoDeepThatCopyingItWouldOverflowTheStack) {
  EXPECT_NO_THROW(parse_json(nested(kMaxJsonDepth), "here"));
  for (const std::string& deep :
       {nested(kMaxJsonDepth + 1), nested(1'000'000), std::string(1'000'000, '['), "{\"a\":" + nested(600) + "}"}) {
    try {
      parse_json(deep, "here");
      FAIL() << "accepted";
    } catch (const base::IoError& error) {
      EXPECT_THAT(error.what(), HasSubstr("here: JSON nested "));
    }
  }
}

TEST(ParseJson, DoesNotCountBracketsInsideStrings) {
  const std::string text = "[\"" + std::string(1000, '[') + "\\\"" + std::string(1000, '{') + "\"]";
  EXPECT_EQ(parse_json(text, "here")[0].get<std::string>().size(), 2001u);
}

TEST(ForEachJsonMember, HandsOutOneMemberAfterAnother) {
  std::vector<std::string> seen;
  const auto note = [&](const std::string& name, const nlohmann::json& value) {
    seen.push_back(name + "=" + value.dump());
  };
  for_each_json_member(R"({"a": {"b": [1, {}]}, "c": 2, "d": [], "skipped": {"x": [1, 2]}, "a": null})", "x",
                       {.skips = [](const std::string& name) { return name == "skipped"; }}, note);
  EXPECT_EQ(seen, (std::vector<std::string>{R"(a={"b":[1,{}]})", "c=2", "d=[]", "a=null"}));
}

TEST(ForEachJsonMember, RefusesWhatIsNoObjectAndMembersWithoutEnd) {
  const auto nothing = [](const std::string&, const nlohmann::json&) {};
  std::string large = "{\"a\": [0";
  for (int i = 0; i < 2000; ++i) large += ",0";
  large += "]}";
  const std::pair<std::string, std::string> cases[] = {{"[1]", "is not a JSON object"},
                                                       {"3", "is not a JSON object"},
                                                       {"{\"a\": ", "not valid JSON"},
                                                       {large, "a has more than 1000 values"},
                                                       {"{\"a\": " + std::string(600, '['), "nested 601 deep"}};
  for (const auto& [text, expected] : cases) {
    try {
      for_each_json_member(text, "the file", {}, nothing);
      ADD_FAILURE() << text.substr(0, 50);
    } catch (const base::IoError& error) {
      EXPECT_THAT(error.what(), ::testing::AllOf(::testing::HasSubstr("the file"), ::testing::HasSubstr(expected)));
    }
  }
  EXPECT_NO_THROW(for_each_json_member(large, "the file", {.skips = [](const std::string&) { return true; }}, nothing));
}

TEST(ReadJson, RefusesAPipeInsteadOfWaitingForIt) {
  const testing::TempDir dir;
  const auto pipe = dir.path() / "a.json";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THROW(read_json(pipe), base::IoError);
  EXPECT_THROW(hash_file(pipe), base::IoError);
  EXPECT_THROW(MappedFile{pipe}, base::IoError);
}

TEST(ReadJson, ReturnsWhatWriteJsonWrote) {
  const testing::TempDir dir;
  const nlohmann::json value = {{"a", {1, 2.5, nullptr}}, {"b", "ünïcode"}};
  write_json(dir.path() / "a.json", value);
  EXPECT_EQ(read_json(dir.path() / "a.json"), value);
  EXPECT_THAT(read_file(dir.path() / "a.json"), HasSubstr("ünïcode"));
}

TEST(ReadJson, NamesFileAndPositionOfAnError) {
  const testing::TempDir dir;
  write_file_atomic(dir.path() / "a.json", "{\"a\": 1,\n \"b\": }");
  try {
    read_json(dir.path() / "a.json");
    FAIL() << "no error";
  } catch (const base::IoError& error) {
    EXPECT_THAT(error.what(), HasSubstr("a.json: not valid JSON"));
    EXPECT_THAT(error.what(), HasSubstr("line 2"));
  }
}

TEST(WriteJson, WritesInvalidUtf8AsReplacementCharacter) {
  const testing::TempDir dir;
  write_json(dir.path() / "a.json", {{"a", "x\xFFy"}});
  EXPECT_EQ(read_json(dir.path() / "a.json")["a"], "x\xEF\xBF\xBDy");
}

}  // namespace
}  // namespace grpo::io

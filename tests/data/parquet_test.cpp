// Parquet files written with Arrow here and read back through load_problems.
#include <arrow/array/builder_binary.h>
#include <arrow/array/builder_dict.h>
#include <arrow/array/builder_nested.h>
#include <arrow/array/builder_primitive.h>
#include <arrow/io/file.h>
#include <arrow/table.h>
#include <gmock/gmock.h>
#include <parquet/arrow/writer.h>

#include <cmath>
#include <limits>

#include "grpo/base/error.h"
#include "grpo/data/dataset.h"
#include "grpo/data/inspect.h"
#include "grpo/io/file.h"
#include "support/golden.h"
#include "support/message_of.h"

namespace grpo::data {
namespace {

using ::testing::HasSubstr;
using Column = std::pair<std::string, std::shared_ptr<arrow::Array>>;

void ok(const arrow::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

template <typename Builder>
std::shared_ptr<arrow::Array> finish(Builder& builder) {
  std::shared_ptr<arrow::Array> array;
  ok(builder.Finish(&array));
  return array;
}

template <typename Builder, typename T>
std::shared_ptr<arrow::Array> column(const std::vector<T>& values) {
  Builder builder;
  for (const auto& value : values) ok(builder.Append(value));
  return finish(builder);
}

std::shared_ptr<arrow::Array> strings(const std::vector<std::string>& values) {
  return column<arrow::StringBuilder>(values);
}

std::shared_ptr<arrow::Array> struct_of(const std::vector<Column>& members) {
  arrow::ArrayVector arrays;
  std::vector<std::string> names;
  for (const auto& [name, array] : members) {
    names.push_back(name);
    arrays.push_back(array);
  }
  return arrow::StructArray::Make(arrays, names).ValueOrDie();
}

std::shared_ptr<arrow::Array> list_of(const std::vector<int32_t>& offsets,
                                      const std::shared_ptr<arrow::Array>& values) {
  return arrow::ListArray::FromArrays(*column<arrow::Int32Builder>(offsets), *values).ValueOrDie();
}

void write(const std::filesystem::path& path, const std::vector<Column>& columns, int64_t rows_per_group = 2) {
  arrow::FieldVector fields;
  arrow::ArrayVector arrays;
  for (const auto& [name, array] : columns) {
    fields.push_back(arrow::field(name, array->type()));
    arrays.push_back(array);
  }
  const auto table = arrow::Table::Make(arrow::schema(fields), arrays);
  const auto output = arrow::io::FileOutputStream::Open(path.string()).ValueOrDie();
  ok(parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), output, rows_per_group));
  ok(output->Close());
}

std::string error_of(const std::filesystem::path& path, const std::string& prompt_key, const std::string& answer_key) {
  return testing::message_of<base::IoError>([&] { load_problems({path.string()}, prompt_key, answer_key); });
}

TEST(Parquet, ReadsColumnsOverSeveralRowGroups) {
  const testing::TempDir dir;
  const auto path = dir.path() / "a.parquet";
  write(path, {{"problem", strings({"p0", "p1", "p2", "p3", "p4"})},
               {"unused", strings({"", "", "", "", ""})},
               {"answer", strings({"a0", "a1", "a2", "a3", "a4"})}});
  const auto problems = load_problems({path.string()}, "problem", "answer");
  ASSERT_EQ(problems.size(), 5U);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(problems[i].prompt, "p" + std::to_string(i));
    EXPECT_EQ(problems[i].answers.at(0), "a" + std::to_string(i));
    EXPECT_EQ(problems[i].id, std::to_string(i));
  }
}

TEST(Parquet, ReadsAllColumnsWhereWholeRowsAreAskedFor) {
  const testing::TempDir dir;
  const auto path = dir.path() / "a.parquet";
  write(path, {{"problem", strings({"p0", "p1"})},
               {"tests", list_of({0, 2, 3}, strings({"a", "b", "c"}))},
               {"answer", strings({"a0", "a1"})}});
  const auto problems = load_problems({path.string()}, "problem", "answer", {}, /*whole_rows=*/true);
  EXPECT_EQ(problems.at(0).whole_row, R"({"answer":"a0","problem":"p0","tests":["a","b"]})");
  EXPECT_EQ(problems.at(1).whole_row, R"({"answer":"a1","problem":"p1","tests":["c"]})");
}

TEST(Parquet, RefusesTwoColumnsOfOneName) {
  const testing::TempDir dir;
  const auto path = dir.path() / "a.parquet";
  write(path, {{"problem", strings({"p"})}, {"answer", strings({"1"})}, {"answer", strings({"2"})}});
  EXPECT_THAT(error_of(path, "problem", "answer"), HasSubstr("a.parquet: two columns are called answer"));
}

TEST(Parquet, RefusesTextThatIsNotUtf8) {
  const testing::TempDir dir;
  const auto path = dir.path() / "a.parquet";
  write(path, {{"problem", strings({"p", "caf\xE9"})}, {"answer", strings({"1", "2"})}});
  EXPECT_THAT(error_of(path, "problem", "answer"), HasSubstr("a.parquet: row 1: problem is not UTF-8"));
}

// The layout of verl's files: chat messages, and the answer inside a struct.
TEST(Parquet, ReadsChatMessagesAndNestedKeys) {
  const testing::TempDir dir;
  const auto path = dir.path() / "a.parquet";
  const auto messages =
      struct_of({{"content", strings({"be brief", "1+1?", "2+2?"})}, {"role", strings({"system", "user", "user"})}});
  const auto reward = struct_of({{"ground_truth", strings({"2", "4"})}, {"style", strings({"rule", "rule"})}});
  write(path, {{"prompt", list_of({0, 2, 3}, messages)}, {"reward_model", reward}});
  const auto problems = load_problems({path.string()}, "prompt", "reward_model.ground_truth");
  ASSERT_EQ(problems.size(), 2U);
  EXPECT_EQ(problems[0].prompt, "1+1?");
  EXPECT_EQ(problems[1].prompt, "2+2?");
  EXPECT_EQ(problems[0].answers.at(0), "2");
  EXPECT_EQ(problems[1].answers.at(0), "4");
}

TEST(Parquet, ReadsEveryKindOfTextAndNumber) {
  const testing::TempDir dir;
  const auto prompts = strings({"p", "q"});
  const auto expect = [&](const std::shared_ptr<arrow::Array>& answers, const std::vector<std::string>& expected) {
    const auto path = dir.path() / "a.parquet";
    write(path, {{"problem", prompts}, {"answer", answers}});
    const auto problems = load_problems({path.string()}, "problem", "answer");
    ASSERT_EQ(problems.size(), 2U);
    EXPECT_EQ(problems[0].answers.at(0), expected[0]) << answers->type()->ToString();
    EXPECT_EQ(problems[1].answers.at(0), expected[1]) << answers->type()->ToString();
  };
  expect(column<arrow::LargeStringBuilder, std::string>({"a", "b"}), {"a", "b"});
  expect(column<arrow::StringDictionaryBuilder, std::string>({"a", "b"}), {"a", "b"});
  expect(column<arrow::Int64Builder, int64_t>({-7, 1LL << 60}), {"-7", "1152921504606846976"});
  expect(column<arrow::UInt8Builder, uint8_t>({7, 255}), {"7", "255"});
  expect(column<arrow::DoubleBuilder, double>({0.1, -2.5}), {"0.1", "-2.5"});
  expect(list_of({0, 1, 2}, strings({"a", "b"})), {"a", "b"});
}

// As doubles these would be 0.10000000149011612 and 0.0999755859375: golds that no right answer has.
TEST(Parquet, WritesSmallFloatsAsShortlyAsTheyWereMeant) {
  const testing::TempDir dir;
  const auto path = dir.path() / "a.parquet";
  const auto answers_of = [&](const std::shared_ptr<arrow::Array>& answers) {
    write(path, {{"problem", strings({"p", "q", "r"})}, {"answer", answers}});
    std::vector<std::string> texts;
    for (const auto& problem : load_problems({path.string()}, "problem", "answer"))
      texts.push_back(problem.answers.at(0));
    return texts;
  };
  using ::testing::ElementsAre;
  EXPECT_THAT(answers_of(column<arrow::FloatBuilder, float>({0.1F, -33.3F, 7.0F})), ElementsAre("0.1", "-33.3", "7.0"));
  EXPECT_THAT(answers_of(column<arrow::HalfFloatBuilder, uint16_t>({0x2E66, 0x3C00, 0x4248})),
              ElementsAre("0.1", "1.0", "3.14"));
}

TEST(Parquet, TakesNanAndInfinityForMissingAnswers) {
  const testing::TempDir dir;
  const auto path = dir.path() / "a.parquet";
  const double nan = std::numeric_limits<double>::quiet_NaN();
  write(path, {{"problem", strings({"p", "q", "r"})},
               {"answer", column<arrow::DoubleBuilder, double>({nan, 1.5, -HUGE_VAL})}});
  const auto problems = load_problems({path.string()}, "problem", "answer");
  EXPECT_EQ(problems.at(0).answers.at(0), "");
  EXPECT_EQ(problems.at(1).answers.at(0), "1.5");
  EXPECT_EQ(problems.at(2).answers.at(0), "");
}

TEST(Parquet, UsesTheIdColumn) {
  const testing::TempDir dir;
  const auto path = dir.path() / "a.parquet";
  write(path, {{"problem", strings({"p"})}, {"answer", strings({"a"})}, {"id", strings({"math/17"})}});
  EXPECT_EQ(load_problems({path.string()}, "problem", "answer").at(0).id, "math/17");
}

TEST(Parquet, NamesTheNearestColumn) {
  const testing::TempDir dir;
  const auto path = dir.path() / "a.parquet";
  write(path, {{"problem", strings({"p"})}, {"answer", struct_of({{"value", strings({"a"})}})}});
  EXPECT_THAT(error_of(path, "problme", "answer.value"),
              HasSubstr("a.parquet: no column problme (did you mean problem?)"));
  EXPECT_THAT(error_of(path, "problem", "answer.valeu"),
              HasSubstr("row 0: answer: no key valeu (did you mean value?)"));
}

TEST(Parquet, TakesNullForAMissingAnswerAndNamesTheRowOfAMissingPrompt) {
  const testing::TempDir dir;
  const auto path = dir.path() / "a.parquet";
  arrow::StringBuilder answers;
  ok(answers.Append("a"));
  ok(answers.AppendNull());
  write(path, {{"problem", strings({"p", "q"})}, {"answer", finish(answers)}});
  EXPECT_EQ(load_problems({path.string()}, "problem", "answer").at(1).answers.at(0), "");
  EXPECT_THAT(error_of(path, "answer", "problem"),
              HasSubstr("a.parquet: row 1: answer is null, expected a string or a list of chat messages"));
}

TEST(Parquet, RefusesAFileThatIsNone) {
  const testing::TempDir dir;
  const auto path = dir.path() / "a.parquet";
  io::write_file_atomic(path, "this is not a parquet file at all");
  EXPECT_THAT(error_of(path, "problem", "answer"), HasSubstr("a.parquet: cannot read as Parquet"));
  EXPECT_THAT(error_of(dir.path() / "b.parquet", "problem", "answer"), HasSubstr("b.parquet: no such file"));
}

TEST(Parquet, ReadsTheColumnsThatConditionsNameAndAllOfThemWhenInspected) {
  const testing::TempDir dir;
  const auto path = dir.path() / "a.parquet";
  write(path, {{"problem", strings({"p", "q", "r"})},
               {"answer", strings({"1", "2", "3"})},
               {"level", column<arrow::Int32Builder, int32_t>({1, 4, 5})}});
  DataConfig config;
  config.train = {path.string()};
  config.train[0].where = {"level >= 4"};
  const auto loaded = load_train_sets(config);
  ASSERT_EQ(loaded.problems.size(), 2U);
  EXPECT_EQ(loaded.problems[0].prompt, "q");
  EXPECT_EQ(loaded.problems[0].row, 1);
  config.train[0].where = {"levle >= 4"};
  EXPECT_THAT(testing::message_of<base::IoError>([&] { load_train_sets(config); }), HasSubstr("did you mean level?"));
  EXPECT_EQ(inspect_file(path.string(), "", "").fields.size(), 3U);
}

}  // namespace
}  // namespace grpo::data

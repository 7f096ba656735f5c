#include "grpo/tokenizer/chat_template.h"

#include <gmock/gmock.h>

#include "grpo/base/error.h"
#include "grpo/io/json.h"
#include "support/golden.h"
#include "tokenizer/small_tokenizer.h"

namespace grpo::tokenizer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::Ids;
using ::testing::ThrowsMessage;

ChatTemplate resolved(const std::string& text) { return ChatTemplate::resolve({.text = text, .map = {}}, ""); }
ChatTemplate mapped(const std::map<std::string, std::string>& map) {
  return ChatTemplate::resolve({.text = "", .map = map}, "");
}

TEST(ChatTemplate, HasAliases) {
  EXPECT_EQ(resolved("qwen").name(), "qwen2.5-instruct");
  EXPECT_EQ(resolved("qwen-math").name(), "qwen2.5-math");
  EXPECT_EQ(resolved("r1-distill").name(), "deepseek-r1-distill");
  EXPECT_EQ(resolved("chatml").name(), "smollm2");
}

TEST(ChatTemplate, KnowsTheEndOfATurn) {
  EXPECT_EQ(resolved("qwen3").end_of_turn(), "<|im_end|>");
  EXPECT_EQ(resolved("llama3.1").end_of_turn(), "<|eot_id|>");
  EXPECT_EQ(resolved("none").end_of_turn(), "");
}

TEST(ChatTemplate, PutsTheDefaultSystemMessageOfQwenMath) {
  const auto chat = resolved("qwen-math");
  EXPECT_EQ(chat.prompt("1+1?"), "<|im_start|>system\n" + chat.default_system() +
                                     "<|im_end|>\n<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, WritesTheSameDateEveryDay) {
  EXPECT_THAT(resolved("llama3.2").prompt("x"), HasSubstr("Today Date: 26 Jul 2024\n"));
}

TEST(ChatTemplate, GroupsToolResultsInOneTurn) {
  const std::vector<Message> messages = {{"user", "q"}, {"tool", "1"}, {"tool", "2"}};
  EXPECT_THAT(resolved("qwen3").render(messages),
              HasSubstr("<|im_start|>user\n<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response>"
                        "<|im_end|>\n<|im_start|>assistant\n"));
}

TEST(ChatTemplate, NoneIsTheProblemItself) { EXPECT_EQ(resolved("none").prompt("{x} <|im_end|>"), "{x} <|im_end|>"); }

TEST(ChatTemplate, FillsTheProblemIntoAText) {
  EXPECT_EQ(resolved("Q: {problem}\nA:").prompt("a {problem} b"), "Q: a {problem} b\nA:");
  const std::vector<Message> two = {{"user", "a"}, {"user", "b"}};
  EXPECT_THAT([&] { resolved("none").render(two); }, ThrowsMessage<base::ConfigError>(HasSubstr("one user message")));
}

TEST(ChatTemplate, CanBeSpelledOut) {
  const auto chat = mapped({{"system", "S"},
                            {"system_suffix", "\n"},
                            {"user_prefix", "U:"},
                            {"user_suffix", "\n"},
                            {"assistant_prefix", "A:"},
                            {"end_of_turn", "<e>"},
                            {"bos", "<s>"}});
  EXPECT_EQ(chat.prompt("p"), "<s>S\nU:p\nA:");
  EXPECT_EQ(chat.end_of_turn(), "<e>");
  const std::vector<Message> messages = {{"user", "p"}, {"assistant", "r"}};
  ChatOptions closed;
  closed.add_generation_prompt = false;
  EXPECT_EQ(chat.render(messages, closed), "<s>U:p\nA:r<e>");
}

TEST(ChatTemplate, CanChangeABuiltInOne) {
  EXPECT_EQ(
      mapped({{"base", "qwen3"}, {"enable_thinking", "false"}, {"system", "S"}}).prompt("p"),
      "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\np<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n");
  EXPECT_THAT(mapped({{"base", "llama3.1"}, {"date_string", "1 May 2025"}}).prompt("p"), HasSubstr("1 May 2025"));
}

TEST(ChatTemplate, NamesWhatItDoesNotKnow) {
  EXPECT_THAT([] { resolved("qwen33"); }, ThrowsMessage<base::ConfigError>(HasSubstr("did you mean qwen3")));
  EXPECT_THAT([] { mapped({{"user_prefx", ""}}); }, ThrowsMessage<base::ConfigError>(HasSubstr("user_prefix")));
  EXPECT_THAT(
      [] {
        mapped({{"base", "qwen3"}, {"enable_thinking", "maybe"}});
      },
      ThrowsMessage<base::ConfigError>(HasSubstr("true or false")));
  EXPECT_THAT([] { resolved("qwen").render({}); }, ThrowsMessage<base::ConfigError>(HasSubstr("no messages")));
}

TEST(ChatTemplateAuto, NamesTheClosestOfAnUnknownText) {
  const testing::TempDir model;
  io::write_json(model.path() / "tokenizer_config.json",
                 {{"chat_template", "{{ '<|start_header_id|>' + role }} Today Date builtin_tools tool_call"}});
  EXPECT_THAT([&] { ChatTemplate::resolve({.text = "auto", .map = {}}, model.path()); },
              ThrowsMessage<base::ConfigError>(AllOf(HasSubstr("tokenizer_config.json"), HasSubstr("llama3.1"))));
}

TEST(ChatTemplateAuto, SaysThatTheFolderHasNone) {
  const testing::TempDir model;
  EXPECT_THAT([&] { ChatTemplate::resolve({.text = "auto", .map = {}}, model.path()); },
              ThrowsMessage<base::ConfigError>(HasSubstr("has no chat template")));
}

TEST(ChatTemplate, TakesTheBosOfTheModelAndNeverTwo) {
  const testing::TempDir model;
  io::write_json(model.path() / "tokenizer_config.json", {{"bos_token", "<s>"}});
  const auto llama = ChatTemplate::resolve({.text = "llama3", .map = {}}, model.path());
  EXPECT_TRUE(llama.prompt("p").starts_with("<s><|start_header_id|>user"));

  auto json = testing::small_tokenizer_json({"<s>", "p"}, {});
  testing::add_token(json, "<s>", {{"special", true}});
  json["post_processor"] = {{"type", "TemplateProcessing"},
                            {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
                            {"special_tokens", {{"<s>", {{"ids", {0}}}}}}};
  const auto tokenizer = testing::load_tokenizer(json);
  EXPECT_EQ(resolved("none").encode_prompt(*tokenizer, "p"), (Ids{0, 1}));
  EXPECT_EQ(resolved("<s>{problem}").encode_prompt(*tokenizer, "p"), (Ids{0, 1}));
}

}  // namespace
}  // namespace grpo::tokenizer

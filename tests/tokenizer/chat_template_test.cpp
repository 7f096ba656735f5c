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

std::string spoken(const ChatTemplate& chat, const std::vector<Message>& messages) { return chat.prompt(messages); }

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

TEST(ChatTemplate, GivesAConversationItsOwnSystemMessageAndEarlierTurns) {
  EXPECT_EQ(spoken(resolved("qwen"), {{"system", "S"}, {"user", "1"}, {"assistant", "2"}, {"user", "3"}}),
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n1<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n<|im_"
            "start|>user\n3<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST(ChatTemplate, GoesOnWithATurnThatTheAssistantHasBegun) {
  const std::vector<Message> messages = {{"user", "q"}, {"assistant", "Let me see: "}};
  EXPECT_TRUE(spoken(resolved("qwen3"), messages).ends_with("<|im_start|>assistant\nLet me see: "));
  EXPECT_EQ(spoken(resolved("Q: {problem}\nA: "), messages), "Q: q\nA: Let me see: ");
  EXPECT_EQ(begun_turn(messages), "Let me see: ");
  EXPECT_TRUE(spoken(resolved("r1-distill"), {{"user", "q"}, {"assistant", "<think>\nHm"}})
                  .ends_with("<｜Assistant｜><think>\nHm"));
}

TEST(ChatTemplate, TakesASystemMessageForAllOrNone) {
  auto chat = resolved("qwen");
  chat.set_system("Mine");
  EXPECT_EQ(spoken(chat, {{"system", "row's"}, {"user", "q"}}),
            "<|im_start|>system\nMine<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(chat.prompt("q"), spoken(chat, {{"user", "q"}}));
  for (const char* name : {"qwen", "smollm2", "qwen3"}) {
    auto without = resolved(name);
    without.set_system("none");
    EXPECT_EQ(spoken(without, {{"system", "row's"}, {"user", "q"}}),
              "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n")
        << name;
  }
  EXPECT_THAT([] { resolved("none").set_system("S"); },
              ThrowsMessage<base::ConfigError>(HasSubstr("no place for a system message")));
}

TEST(ChatTemplate, KnowsQwen3Of2507) {
  EXPECT_EQ(resolved("qwen3-instruct-2507").prompt("q"), "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(resolved("qwen3-thinking-2507").prompt("q"),
            "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n<think>\n");
  // The instruct model's template keeps what an assistant said as it is.
  EXPECT_THAT(
      spoken(resolved("qwen3-instruct-2507"), {{"user", "1"}, {"assistant", "<think>t</think>2"}, {"user", "3"}}),
      HasSubstr("assistant\n<think>t</think>2<|im_end|>"));
}

TEST(ChatTemplate, PlainChatmlHasNoSystemMessageOfItsOwn) {
  EXPECT_EQ(resolved("plain-chatml").prompt("q"), "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n");
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
  EXPECT_EQ(spoken(mapped({{"assistant_prefix", "A:"}, {"assistant_suffix", "<e>\n"}, {"end_of_turn", "<e>"}}),
                   {{"user", "p"}, {"assistant", "r"}, {"user", "q"}}),
            "pA:r<e>\nqA:");
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

TEST(ChatTemplate, RefusesAVariableThatItDoesNotRead) {
  for (const std::string base : {"qwen2.5-instruct", "qwen3-thinking-2507", "llama3.1", "none", "Q: {problem}"}) {
    EXPECT_THAT(
        [&] {
          mapped({{"base", base}, {"enable_thinking", "false"}});
        },
        ThrowsMessage<base::ConfigError>(HasSubstr("template.enable_thinking: only qwen3 reads it")))
        << base;
  }
  for (const std::string base : {"qwen3", "llama3", "none"}) {
    EXPECT_THAT(
        [&] {
          mapped({{"base", base}, {"date_string", "1 May 2025"}});
        },
        ThrowsMessage<base::ConfigError>(HasSubstr("template.date_string: only llama3.1, llama3.2 read it")))
        << base;
  }
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

std::string name_of(const std::string& jinja) {
  const testing::TempDir model;
  io::write_json(model.path() / "tokenizer_config.json", {{"chat_template", jinja}});
  try {
    return ChatTemplate::resolve({.text = "auto", .map = {}}, model.path()).name();
  } catch (const base::ConfigError& error) {
    return error.what();
  }
}

// The same loop as tools write it.
TEST(ChatTemplateAuto, RecognisesPlainChatmlInItsSpellings) {
  const std::string turn = "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}";
  const std::string opening = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
  const std::string loop = "{% for message in messages %}";
  EXPECT_EQ(name_of(loop + turn + "{% endfor %}" + opening), "plain-chatml");
  EXPECT_EQ(name_of("{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}" +
                    loop + turn + "{% endfor %}" + opening),
            "plain-chatml");
  EXPECT_EQ(
      name_of(loop + "\n" + turn +
              "{% if loop.last and add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}{% endfor %}"),
      "plain-chatml");
  EXPECT_EQ(name_of("{%- for message in messages -%}\n  {{- \"<|im_start|>\" + message.role + \"\\n\" + "
                    "message.content + \"<|im_end|>\\n\" -}}\n{%- endfor -%}\n"
                    "{%- if add_generation_prompt -%}\n  {{- \"<|im_start|>assistant\\n\" -}}\n{%- endif -%}"),
            "plain-chatml");
}

// A line break behind a value is written, and so are other words.
TEST(ChatTemplateAuto, DoesNotTakeOtherLoopsForPlainChatml) {
  const std::string opening = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
  const std::string turn = "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}";
  for (const auto& jinja : {"{% for message in messages %}" + turn + "\n{% endfor %}" + opening,
                            "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
                            "message['content'] | trim + '<|im_end|>' + '\\n'}}{% endfor %}" +
                                opening,
                            "You are X.{% for message in messages %}" + turn + "{% endfor %}" + opening}) {
    EXPECT_THAT(name_of(jinja), AllOf(HasSubstr("none of the built-in ones"), HasSubstr("derive_template.py")))
        << jinja;
  }
}

TEST(ChatTemplate, WritesToolTextsOfAnyBytes) {
  const std::vector<Message> messages = {{"user", "q"}, {"tool", "a\xff\"b"}};
  EXPECT_THAT(spoken(resolved("llama3.1"), messages), HasSubstr("\"a\xef\xbf\xbd\\\"b\""));
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

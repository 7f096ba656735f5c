// Chat templates: the tokenizer_config.json that names one, a text or mapping in the configuration, and conversations
// that go through it. The first byte says which the rest is.
#include <nlohmann/json.hpp>
#include <vector>

#include "fuzz.h"
#include "grpo/data/conversation.h"
#include "grpo/io/parse_json.h"
#include "grpo/tokenizer/chat_template.h"

namespace {

using grpo::tokenizer::ChatTemplate;
using grpo::tokenizer::Message;

void render_all(const ChatTemplate& chat, const std::string& problem) {
  grpo::testing::may_refuse([&] { chat.prompt(problem); });
  const std::vector<Message> messages = {{"system", problem}, {"user", problem}, {"assistant", "<think>\n" + problem}};
  grpo::testing::may_refuse([&] { chat.prompt(messages); });
}

void read_folder(std::string_view text) {
  static grpo::testing::ScratchFile file("tokenizer_config.json");
  file.with(text);
  for (const char* name : {"auto", "chatml", "qwen3", "llama3.1"}) {
    grpo::testing::may_refuse(
        [&] { render_all(ChatTemplate::resolve({.text = name, .map = {}}, file.folder()), "1+1="); });
  }
}

// Lines KEY=VALUE as a mapping, else the text of a template.
void read_choice(const std::string& text) {
  grpo::base::TextOrMap choice;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    if (const size_t equals = line.find('='); equals != std::string::npos)
      choice.map[line.substr(0, equals)] = line.substr(equals + 1);
    at = end + 1;
  }
  for (const auto& wish : {choice, grpo::base::TextOrMap{.text = text, .map = {}}}) {
    grpo::testing::may_refuse([&] { render_all(ChatTemplate::resolve(wish, "/nowhere"), text); });
  }
}

void read_conversation(const std::string& text) {
  std::vector<Message> messages;
  grpo::testing::may_refuse([&] {
    for (const auto& message : grpo::data::read_conversation(grpo::io::parse_json(text, "input"), "input", "prompt"))
      messages.push_back({message.role, message.content});
  });
  if (messages.empty()) return;
  for (const auto& name : ChatTemplate::names()) {
    grpo::testing::may_refuse([&] { ChatTemplate::resolve({.text = name, .map = {}}, "/nowhere").prompt(messages); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string text(grpo::testing::text_of(data + 1, size - 1));
  if (data[0] == 'f') read_folder(text);
  if (data[0] == 't') read_choice(text);
  if (data[0] == 'c') read_conversation(text);
  return 0;
}

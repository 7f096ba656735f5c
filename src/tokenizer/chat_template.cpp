#include "grpo/tokenizer/chat_template.h"

#include <algorithm>

#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "tokenizer/chat_family.h"
#include "tokenizer/chat_recognition.h"
#include "tokenizer/model_files.h"

namespace grpo::tokenizer {
namespace {

namespace fs = std::filesystem;

constexpr const char* kProblem = "{problem}";
constexpr const char* kDefaultDate = "26 Jul 2024";  // what Llama 3.1's template writes unless told otherwise

std::string replace_all(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

std::vector<std::string> known_choices() {
  std::vector<std::string> choices = {"auto", "none"};
  for (const ChatFamily& family : chat_families()) {
    choices.push_back(family.name);
    if (family.alias != nullptr) choices.push_back(family.alias);
  }
  return choices;
}

bool parse_bool(const std::string& key, const std::string& value) {
  if (value == "true" || value == "false") return value == "true";
  throw base::ConfigError("template." + key + ": expected true or false, not \"" + value + "\"");
}

// To be called for a template that does not read the variable, because its value would have no effect.
[[noreturn]] void refuse_variable(const std::string& variable) {
  std::vector<std::string> readers;
  for (const ChatFamily& family : chat_families()) {
    if (family.variable == variable) readers.emplace_back(family.name);
  }
  throw base::ConfigError(base::concat("template.", variable, ": only ", base::join(readers, ", "),
                                       readers.size() == 1 ? " reads it" : " read it"));
}

}  // namespace

std::vector<std::string> ChatTemplate::names() {
  std::vector<std::string> names = {"none"};
  for (const ChatFamily& family : chat_families()) names.push_back(family.name);
  return names;
}

ChatTemplate ChatTemplate::resolve(const base::TextOrMap& choice, const fs::path& model_folder) {
  if (choice.is_map()) return from_map(choice.map, model_folder);
  if (choice.text == "auto") return recognised(model_folder);
  if (choice.text == "none" || choice.text.find(kProblem) != std::string::npos) {
    ChatTemplate plain;
    plain.name_ = choice.text == "none" ? "none" : "custom";
    plain.text_ = choice.text == "none" ? kProblem : choice.text;
    return plain;
  }
  return built_in(choice.text, model_folder);
}

ChatTemplate ChatTemplate::built_in(const std::string& name, const fs::path& model_folder) {
  const ChatFamily* family = find_chat_family(name);
  if (family == nullptr) {
    throw base::ConfigError("template: unknown name \"" + name + "\"" + base::did_you_mean(name, known_choices()) +
                            "; a text of your own must contain " + kProblem);
  }
  ChatTemplate result;
  result.name_ = family->name;
  result.family_ = family;
  result.default_system_ = family->default_system;
  result.end_of_turn_ = family->end_of_turn;
  if (*family->bos != '\0') {
    result.defaults_.bos_token = read_tokenizer_config(model_folder).bos_token.value_or(family->bos);
  }
  return result;
}

ChatTemplate ChatTemplate::recognised(const fs::path& model_folder) {
  const TokenizerConfig config = read_tokenizer_config(model_folder);
  if (!config.chat_template) {
    throw base::ConfigError(
        "template auto: " + model_folder.string() +
        " has no chat template (chat_template.jinja, or chat_template in tokenizer_config.json); set "
        "template to none or one of " +
        base::join(names(), ", "));
  }
  const auto known = recognise_chat_template(*config.chat_template);
  if (!known) {
    throw base::ConfigError("template auto: the chat template in " + config.chat_template_file.string() +
                            " is none of the built-in ones; the closest is " +
                            closest_chat_family(*config.chat_template).name +
                            ": set template to it if it fits, to a text with " + kProblem +
                            ", or to the mapping that scripts/derive_template.py " + model_folder.string() + " prints");
  }
  ChatTemplate result = built_in(known->family->name, model_folder);
  if (known->default_system) result.default_system_ = *known->default_system;
  return result;
}

ChatTemplate ChatTemplate::from_map(const std::map<std::string, std::string>& map, const fs::path& model_folder) {
  const auto base_name = map.find("base");
  ChatTemplate result;
  Custom custom;
  std::map<std::string, std::string*> texts;
  std::string system, date, thinking, base_text;
  if (base_name != map.end()) {
    result = resolve({.text = base_name->second, .map = {}}, model_folder);
    texts = {{"base", &base_text}, {"system", &system}, {"date_string", &date}, {"enable_thinking", &thinking}};
  } else {
    result.name_ = "custom";
    texts = {{"system", &system},
             {"bos", &custom.bos},
             {"system_prefix", &custom.system_prefix},
             {"system_suffix", &custom.system_suffix},
             {"user_prefix", &custom.user_prefix},
             {"user_suffix", &custom.user_suffix},
             {"assistant_prefix", &custom.assistant_prefix},
             {"assistant_suffix", &custom.assistant_suffix},
             {"end_of_turn", &result.end_of_turn_}};
  }
  for (const auto& [key, value] : map) {
    const auto text = texts.find(key);
    if (text == texts.end()) {
      std::vector<std::string> keys;
      for (const auto& entry : texts) keys.push_back(entry.first);
      throw base::ConfigError("template." + key + ": unknown key" + base::did_you_mean(key, keys));
    }
    *text->second = value;
  }
  for (const char* variable : {"date_string", "enable_thinking"}) {
    const bool is_read = result.family_ != nullptr && std::string_view(result.family_->variable) == variable;
    if (map.contains(variable) && !is_read) refuse_variable(variable);
  }
  if (map.contains("system")) result.system_ = system;
  if (map.contains("date_string")) result.defaults_.date_string = date;
  if (map.contains("enable_thinking")) result.defaults_.enable_thinking = parse_bool("enable_thinking", thinking);
  if (base_name == map.end()) {
    custom.says_bos = map.contains("bos");
    if (!map.contains("assistant_suffix")) custom.assistant_suffix = result.end_of_turn_;
    result.custom_ = custom;
  }
  if (result.system_ && result.family_ == nullptr && !result.custom_) {
    throw base::ConfigError("template.system: template " + base_name->second + " has no place for a system message");
  }
  return result;
}

std::string ChatTemplate::render(std::span<const Message> messages, const ChatOptions& options) const {
  if (custom_) return render_custom(messages, options.add_generation_prompt);
  if (family_ == nullptr) return render_text(messages);
  const auto& thinking = options.enable_thinking ? options.enable_thinking : defaults_.enable_thinking;
  return family_->render(messages, {.bos = options.bos_token.value_or(defaults_.bos_token.value_or(family_->bos)),
                                    .date = options.date_string.value_or(defaults_.date_string.value_or(kDefaultDate)),
                                    .default_system = default_system_,
                                    .add_generation_prompt = options.add_generation_prompt,
                                    .closes_thinking = thinking.has_value() && !*thinking,
                                    .writes_default_system = !drops_system_});
}

std::string ChatTemplate::render_custom(std::span<const Message> messages, bool add_generation_prompt) const {
  std::string text = custom_->bos;
  for (const auto& [role, content] : messages) {
    if (role == "system") {
      text += custom_->system_prefix + content + custom_->system_suffix;
    } else if (role == "user") {
      text += custom_->user_prefix + content + custom_->user_suffix;
    } else if (role == "assistant") {
      text += custom_->assistant_prefix + content + custom_->assistant_suffix;
    } else {
      throw base::ConfigError("template: a custom template has no place for a message of role \"" + role + "\"");
    }
  }
  return add_generation_prompt ? text + custom_->assistant_prefix : text;
}

std::string ChatTemplate::render_text(std::span<const Message> messages) const {
  if (messages.size() != 1 || messages[0].role != "user") {
    throw base::ConfigError("template " + name_ +
                            " takes exactly one user message; use a built-in template or a mapping");
  }
  return replace_all(text_, kProblem, messages[0].content);
}

void ChatTemplate::set_system(const std::string& choice) {
  if (choice == "auto") return;
  drops_system_ = choice == "none";
  replaces_system_ = !drops_system_;
  system_ = drops_system_ ? std::nullopt : std::optional(choice);
  if (replaces_system_ && family_ == nullptr && !custom_) {
    throw base::ConfigError("data.system: template " + name_ + " has no place for a system message");
  }
}

std::vector<Message> ChatTemplate::with_system(std::span<const Message> messages) const {
  std::vector<Message> all(messages.begin(), messages.end());
  if (replaces_system_ || drops_system_)
    std::erase_if(all, [](const Message& message) { return message.role == "system"; });
  const bool has_one = !all.empty() && all.front().role == "system";
  if (system_ && !has_one) all.insert(all.begin(), {"system", *system_});
  return all;
}

std::string ChatTemplate::prompt(std::span<const Message> messages) const {
  auto all = with_system(messages);
  const std::string begun = begun_turn(all);
  if (!all.empty() && all.back().role == "assistant") all.pop_back();
  std::string text = render(all);
  // Where the template opens a thought and the turn to be continued begins with one, <think> is written only once.
  static const std::string kThought = "<think>\n";
  if (begun.starts_with("<think>") && text.ends_with(kThought)) text.resize(text.size() - kThought.size());
  return text + begun;
}

std::string ChatTemplate::prompt(std::string_view problem) const {
  const Message message{"user", std::string(problem)};
  return prompt({&message, 1});
}

std::vector<int64_t> ChatTemplate::encode_prompt(const Tokenizer& tokenizer, std::string_view problem) const {
  return encode_rendered(tokenizer, prompt(problem));
}

std::vector<int64_t> ChatTemplate::encode_rendered(const Tokenizer& tokenizer, std::string_view rendered) const {
  const bool says_bos = family_ != nullptr || (custom_ && custom_->says_bos);
  return says_bos ? tokenizer.encode(rendered) : tokenizer.encode_with_bos(rendered);
}

std::string begun_turn(std::span<const Message> messages) {
  return !messages.empty() && messages.back().role == "assistant" ? messages.back().content : "";
}

}  // namespace grpo::tokenizer

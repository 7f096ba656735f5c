#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grpo/base/fields.h"
#include "grpo/tokenizer/tokenizer.h"

namespace grpo::tokenizer {

struct Message {
  std::string role;  // "system", "user", "assistant" or "tool"
  std::string content;
};

/// Values for the variables of published templates. A variable that is not given takes the template's own default.
struct ChatOptions {
  bool add_generation_prompt = true;     // end with the opening of the assistant's turn
  std::optional<std::string> bos_token;  // default: the model folder's, else the family's
  // Of llama3.1 and 3.2. The default is "26 Jul 2024" rather than today, so that prompts stay the same.
  std::optional<std::string> date_string;
  std::optional<bool> enable_thinking;  // qwen3: false closes an empty <think> block
};

struct ChatFamily;

/// How a conversation becomes one string. Built-in templates reproduce the published Jinja templates of their models
/// (without tool definitions), written by hand.
class ChatTemplate {
 public:
  /// choice: "auto" (the template of model_folder, recognised by a hash of its text), "none", a built-in name or alias,
  /// a text with {problem}, or a mapping of
  ///   base, system, date_string, enable_thinking: a built-in template with other values, of variables that it reads,
  ///   or bos, system_prefix, system, system_suffix, user_prefix, user_suffix, assistant_prefix, assistant_suffix
  ///   (default: end_of_turn), end_of_turn: a template of its own.
  /// Throws base::ConfigError on an unknown name or key (naming the nearest) and on a chat_template that is not
  /// recognised (naming the closest); base::IoError on a malformed tokenizer_config.json.
  static ChatTemplate resolve(const base::TextOrMap& choice, const std::filesystem::path& model_folder);

  /// "none" and the names of the built-in templates, without aliases.
  static std::vector<std::string> names();

  /// The name of a built-in template ("qwen3"), "none", or "custom" for a text or mapping of one's own.
  const std::string& name() const { return name_; }

  /// Throws base::ConfigError when the template cannot express the messages: most refuse an empty list, "none" and
  /// {problem} texts all but a single user message.
  std::string render(std::span<const Message> messages, const ChatOptions& options = {}) const;

  /// Chooses the system message. "auto": the conversation's own, else the configured one, else the template's default.
  /// "none": no system message, not even one of these three (llama3.1 and 3.2 keep their dates). Any other text takes
  /// the place of all three. Throws base::ConfigError when the template has no place for it.
  void set_system(const std::string& choice);

  /// The prompt of one problem: the configured system message if any, the problem as user message, and the opening of
  /// the assistant's turn.
  std::string prompt(std::string_view problem) const;
  /// The prompt of a conversation. If its last message is the assistant's, that is a turn to be continued: its text
  /// follows the opening, and the completion goes on from there.
  std::string prompt(std::span<const Message> messages) const;
  /// The ids of a problem's prompt. The BOS comes from the template; "none", texts and mappings without bos get the
  /// tokenizer's unless they start with it.
  std::vector<int64_t> encode_prompt(const Tokenizer& tokenizer, std::string_view problem) const;
  /// The ids of a prompt that is rendered already; the BOS as in encode_prompt().
  std::vector<int64_t> encode_rendered(const Tokenizer& tokenizer, std::string_view rendered) const;

  /// The token that ends the assistant's turn, e.g. "<|im_end|>"; empty if the template has none.
  const std::string& end_of_turn() const { return end_of_turn_; }
  /// The system message that the published template writes where a conversation has none; empty if it writes none.
  const std::string& default_system() const { return default_system_; }

 private:
  struct Custom {
    std::string bos, system_prefix, system_suffix, user_prefix, user_suffix, assistant_prefix, assistant_suffix;
    bool says_bos = false;  // the mapping has a bos, maybe an empty one
  };

  ChatTemplate() = default;
  static ChatTemplate built_in(const std::string& name, const std::filesystem::path& model_folder);
  static ChatTemplate recognised(const std::filesystem::path& model_folder);
  static ChatTemplate from_map(const std::map<std::string, std::string>& map,
                               const std::filesystem::path& model_folder);
  std::string render_custom(std::span<const Message> messages, bool add_generation_prompt) const;
  std::string render_text(std::span<const Message> messages) const;
  std::vector<Message> with_system(std::span<const Message> messages) const;

  std::string name_;
  const ChatFamily* family_ = nullptr;  // of a built-in template
  std::optional<Custom> custom_;        // of a mapping that spells a template out
  std::string text_;                    // of the other templates: a text with {problem}
  std::optional<std::string> system_;   // the configured system message
  bool replaces_system_ = false;        // system_ takes the place of a conversation's own system message
  bool drops_system_ = false;
  std::string default_system_, end_of_turn_;
  ChatOptions defaults_;
};

/// The text of the last message if it is the assistant's, a turn to be continued; else "".
std::string begun_turn(std::span<const Message> messages);

}  // namespace grpo::tokenizer

#include "tokenizer/chat_family.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "tokenizer/python_text.h"

namespace grpo::tokenizer {
namespace {

using Messages = std::span<const Message>;

void require_messages(Messages messages) {
  if (messages.empty()) throw base::ConfigError("chat template: there are no messages; expected at least one");
}

// ChatML, <|im_start|>role\ncontent<|im_end|>\n: Qwen and SmolLM2.

std::string im_turn(const std::string& role, const std::string& content) {
  return "<|im_start|>" + role + "\n" + content + "<|im_end|>\n";
}

/// Tool results in a row share one user turn.
void append_tool_result(std::string& text, Messages messages, size_t i) {
  const auto is_tool = [&](size_t at) { return at < messages.size() && messages[at].role == "tool"; };
  if (i == 0 || !is_tool(i - 1)) text += "<|im_start|>user";
  text += "\n<tool_response>\n" + messages[i].content + "\n</tool_response>";
  if (!is_tool(i + 1)) text += "<|im_end|>\n";
}

/// Every turn from message number `first` on, and the opening of the assistant's next one where it is asked for.
std::string im_turns(Messages messages, size_t first, const ChatContext& context) {
  std::string text;
  for (size_t i = first; i < messages.size(); ++i) {
    const auto& [role, content] = messages[i];
    if (role == "tool") {
      append_tool_result(text, messages, i);
    } else if (role == "user" || role == "system" || role == "assistant") {
      text += im_turn(role, content);
    }
  }
  return context.add_generation_prompt ? text + "<|im_start|>assistant\n" : text;
}

std::string render_qwen25(Messages messages, const ChatContext& context) {
  require_messages(messages);
  const bool own_system = messages[0].role == "system";
  std::string text;
  if (own_system || context.writes_default_system)
    text = im_turn("system", own_system ? messages[0].content : context.default_system);
  return text + im_turns(messages, own_system ? 1 : 0, context);
}

/// Index of the last user message that is no result of a tool; thoughts of the assistant after it are kept.
size_t last_query(Messages messages) {
  for (size_t i = messages.size(); i-- > 0;) {
    const auto& [role, content] = messages[i];
    const bool tool_result = content.starts_with("<tool_response>") && content.ends_with("</tool_response>");
    if (role == "user" && !tool_result) return i;
  }
  return messages.size() - 1;
}

std::string qwen3_assistant(const std::string& content, bool after_query, bool last) {
  static const std::string kOpen = "<think>", kClose = "</think>";
  std::string reasoning, answer = content;
  if (content.find(kClose) != std::string::npos) {
    const std::string before = content.substr(0, content.find(kClose));
    reasoning = python_strip(after_last(python_strip(before, "\n", Side::kRight), kOpen), "\n", Side::kLeft);
    answer = python_strip(after_last(content, kClose), "\n", Side::kLeft);
  }
  if (!after_query || (!last && reasoning.empty())) return answer;
  return "<think>\n" + python_strip(reasoning, "\n") + "\n</think>\n\n" + python_strip(answer, "\n", Side::kLeft);
}

std::string render_qwen3(Messages messages, const ChatContext& context) {
  require_messages(messages);
  std::string text;
  const size_t query = last_query(messages);
  for (size_t i = 0; i < messages.size(); ++i) {
    const auto& [role, content] = messages[i];
    if (role == "tool") {
      append_tool_result(text, messages, i);
    } else if (role == "assistant") {
      text += im_turn(role, qwen3_assistant(content, i > query, i + 1 == messages.size()));
    } else if (role == "user" || role == "system") {
      text += im_turn(role, content);
    }
  }
  if (!context.add_generation_prompt) return text;
  text += "<|im_start|>assistant\n";
  return context.closes_thinking ? text + "<think>\n\n</think>\n\n" : text;
}

/// As render_qwen3(), but the assistant's turn opens with a thought.
std::string render_qwen3_thinking(Messages messages, const ChatContext& context) {
  ChatContext thinks = context;
  thinks.closes_thinking = false;
  const std::string text = render_qwen3(messages, thinks);
  return context.add_generation_prompt ? text + "<think>\n" : text;
}

std::string render_smollm2(Messages messages, const ChatContext& context) {
  std::string text;
  const bool has_default = context.writes_default_system && !context.default_system.empty();
  if (!messages.empty() && messages[0].role != "system" && has_default)
    text += im_turn("system", context.default_system);
  for (const auto& [role, content] : messages) text += im_turn(role, content);
  return context.add_generation_prompt ? text + "<|im_start|>assistant\n" : text;
}

// Qwen3 of July 2025: two models, one that never thinks and one that always does.

/// This model has no thoughts to drop, so the assistant's messages are written as they are.
std::string render_qwen3_instruct(Messages messages, const ChatContext& context) {
  require_messages(messages);
  return im_turns(messages, 0, context);
}

// Llama 3: <|start_header_id|>role<|end_header_id|>\n\ncontent<|eot_id|>, contents stripped.

std::string llama_header(const std::string& role) { return "<|start_header_id|>" + role + "<|end_header_id|>\n\n"; }

std::string llama_turn(const std::string& role, const std::string& content) {
  return llama_header(role) + content + "<|eot_id|>";
}

std::string render_llama3(Messages messages, const ChatContext& context) {
  std::string text = messages.empty() ? "" : context.bos;
  for (const auto& [role, content] : messages) text += llama_turn(role, python_strip(content));
  return context.add_generation_prompt ? text + llama_header("assistant") : text;
}

// JSON holds no bytes that are not UTF-8: they become U+FFFD, as everywhere else.
std::string json_text(const std::string& content) {
  return nlohmann::json(content).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// 3.1 and 3.2 always write a system turn, with two dates.
std::string render_llama31(Messages messages, const ChatContext& context) {
  require_messages(messages);
  const bool own_system = messages[0].role == "system";
  std::string text = context.bos + llama_header("system") +
                     "Cutting Knowledge Date: December 2023\nToday Date: " + context.date + "\n\n" +
                     (own_system ? python_strip(messages[0].content) : "") + "<|eot_id|>";
  for (const auto& [role, content] : messages.subspan(own_system ? 1 : 0)) {
    const bool tool = role == "tool" || role == "ipython";
    text += tool ? llama_turn("ipython", json_text(content)) : llama_turn(role, python_strip(content));
  }
  return context.add_generation_prompt ? text + llama_header("assistant") : text;
}

// DeepSeek-R1: the system message stands bare after the BOS, past thinking is dropped.

std::string r1_tool_result(const std::string& content, bool first) {
  return std::string(first ? "<｜tool▁outputs▁begin｜>" : "\n") + "<｜tool▁output▁begin｜>" + content +
         "<｜tool▁output▁end｜>";
}

std::string render_r1(Messages messages, const ChatContext& context, const std::string& opening) {
  static const std::string kEnd = "<｜end▁of▁sentence｜>";
  std::string system, turns;
  bool in_tools = false, first_tool = true;
  for (const auto& [role, content] : messages) {
    if (role == "system") {
      system = content;
    } else if (role == "user") {
      turns += "<｜User｜>" + content;
      in_tools = false;
    } else if (role == "assistant") {
      turns += in_tools ? "<｜tool▁outputs▁end｜>" + content + kEnd
                        : "<｜Assistant｜>" + after_last(content, "</think>") + kEnd;
      in_tools = false;
    } else if (role == "tool") {
      turns += r1_tool_result(content, first_tool);
      in_tools = true;
      first_tool = false;
    }
  }
  if (in_tools) turns += "<｜tool▁outputs▁end｜>";
  const bool opens = context.add_generation_prompt && !in_tools;
  return context.bos + system + turns + (opens ? opening : "");
}

std::string render_r1_distill(Messages messages, const ChatContext& context) {
  return render_r1(messages, context, "<｜Assistant｜><think>\n");
}

std::string render_r1_first(Messages messages, const ChatContext& context) {
  return render_r1(messages, context, "<｜Assistant｜>");
}

constexpr const char* kImEnd = "<|im_end|>";
constexpr const char* kLlamaBos = "<|begin_of_text|>";
constexpr const char* kEot = "<|eot_id|>";
constexpr const char* kR1Bos = "<｜begin▁of▁sentence｜>";
constexpr const char* kR1End = "<｜end▁of▁sentence｜>";

constexpr ChatFamily kFamilies[] = {
    {"qwen2.5-instruct", "qwen", "", kImEnd, "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.", "",
     render_qwen25},
    {"qwen2.5-math", "qwen-math", "", kImEnd, "Please reason step by step, and put your final answer within \\boxed{}.",
     "", render_qwen25},
    {"qwen3", nullptr, "", kImEnd, "", "enable_thinking", render_qwen3},
    {"qwen3-instruct-2507", nullptr, "", kImEnd, "", "", render_qwen3_instruct},
    {"qwen3-thinking-2507", nullptr, "", kImEnd, "", "", render_qwen3_thinking},
    {"llama3", nullptr, kLlamaBos, kEot, "", "", render_llama3},
    {"llama3.1", nullptr, kLlamaBos, kEot, "", "date_string", render_llama31},
    {"llama3.2", nullptr, kLlamaBos, kEot, "", "date_string", render_llama31},
    {"deepseek-r1-distill", "r1-distill", kR1Bos, kR1End, "", "", render_r1_distill},
    {"deepseek-r1-distill-first-revision", nullptr, kR1Bos, kR1End, "", "", render_r1_first},
    {"smollm2", "chatml", "", kImEnd, "You are a helpful AI assistant named SmolLM, trained by Hugging Face", "",
     render_smollm2},
    {"plain-chatml", nullptr, "", kImEnd, "", "", render_smollm2},
};

}  // namespace

std::span<const ChatFamily> chat_families() { return kFamilies; }

const ChatFamily* find_chat_family(std::string_view name) {
  const auto found = std::find_if(std::begin(kFamilies), std::end(kFamilies), [&](const ChatFamily& family) {
    return name == family.name || (family.alias != nullptr && name == family.alias);
  });
  return found == std::end(kFamilies) ? nullptr : &*found;
}

}  // namespace grpo::tokenizer

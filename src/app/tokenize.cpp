#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "app/commands.h"
#include "app/same_file.h"
#include "grpo/base/error.h"
#include "grpo/io/json.h"
#include "grpo/io/parse_json.h"
#include "grpo/tokenizer/tokenizer.h"

namespace grpo::app {
namespace {

struct TokenizeOptions {
  std::string model, input, output;
  bool no_specials = false;
};

void run_tokenize(const TokenizeOptions& options) {
  refuse_same_file(options.input, options.output);
  const auto tokenizer = tokenizer::Tokenizer::load(options.model);
  io::JsonlReader reader(options.input);
  io::JsonlWriter writer(options.output);
  nlohmann::json row;
  while (reader.next(row)) {
    const auto text = row.find("text");
    if (text == row.end() || !text->is_string()) {
      throw base::IoError(base::concat(reader.path(), ":", reader.line(), ": expected a key \"text\" with a string"));
    }
    const auto ids = tokenizer->encode(text->get_ref<const std::string&>(), !options.no_specials);
    auto output = io::parse_ordered_json(reader.text(), reader.path());  // keeps the order of the row's fields
    output["ids"] = ids;
    output["decoded"] = tokenizer->decode(ids);
    writer.write(output);
  }
}

}  // namespace

void add_tokenize(CLI::App& app) {
  auto* command =
      app.add_subcommand("tokenize", "Texts to token ids: JSONL with \"text\" in, \"ids\" and \"decoded\" added");
  auto options = std::make_shared<TokenizeOptions>();
  command->add_option("--model", options->model, "folder with tokenizer.json or tokenizer.model")->required();
  command->add_option("--input", options->input, "JSONL file with \"text\" on each line; - is stdin")->required();
  command->add_option("--output", options->output, "JSONL file to write; - is stdout")->required();
  command->add_flag("--no-specials", options->no_specials, "read special tokens in the text as plain text");
  command->callback([options] { run_tokenize(*options); });
}

}  // namespace grpo::app

#pragma once

namespace CLI {
class App;
}

namespace grpo::app {

// Each adds its subcommand with options and a callback that does the work (errors are exceptions; main maps them to
// exit codes).
void add_train(CLI::App& app);
void add_generate(CLI::App& app);
void add_score(CLI::App& app);
void add_verify(CLI::App& app);
void add_tokenize(CLI::App& app);
void add_compare(CLI::App& app);
void add_eval(CLI::App& app);
void add_doctor(CLI::App& app);
void add_checkpoint(CLI::App& app);
void add_data(CLI::App& app);
void add_theory(CLI::App& app);
void add_replay(CLI::App& app);

}  // namespace grpo::app

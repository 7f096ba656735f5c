#pragma once

// Writes the number of calls seen below GRPO_FAULT_FOLDER to the file GRPO_FAULT_COUNT, where that is set.
void write_number_of_calls();

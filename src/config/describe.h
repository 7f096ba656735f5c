#pragma once

#include <functional>
#include <string>

#include "grpo/base/fields.h"

// What a field is, in words and as YAML text: shared by error messages, help and dumps.

namespace grpo::config {

/// ">= 1", "> 0", "in [0, 1]", "in (0, 1]", "<= 5", or "" for no bounds.
std::string range_text(const base::Range& range);

/// "integer", "number or null", "list of texts", "choice", ...
std::string type_name(const base::FieldValue& value);

/// The bounds or the choices; "" if anything goes.
std::string allowed_text(const base::Field& field);

/// Whether the field holds a value of its own, not a section or a list of sections.
bool is_leaf(const base::FieldValue& value);

/// The value of a leaf on one line (flow style). REQUIRES: is_leaf(value).
std::string flow_text(const base::FieldValue& value);

std::string joined_key(const std::string& prefix, const std::string& name);  // "optimizer", "lr" -> "optimizer.lr"

}  // namespace grpo::config

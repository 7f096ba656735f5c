#pragma once

#include <functional>
#include <string>

#include "grpo/base/fields.h"

// Describes fields in words and as YAML text, for error messages, help and dumps.

namespace grpo::config {

/// Bounds as ">= 1", "> 0", "in [0, 1]", "in (0, 1]" or "<= 5"; "" without bounds.
std::string range_text(const base::Range& range);

/// The type in words: "integer", "number or null", "list of texts", "choice", ...
std::string type_name(const base::FieldValue& value);

/// The bounds or the choices of a field; "" if any value is allowed.
std::string allowed_text(const base::Field& field);

/// Whether the field holds a value itself, and is not a section or a list of sections.
bool is_leaf(const base::FieldValue& value);

/// The value of a leaf on one line (flow style). REQUIRES: is_leaf(value).
std::string flow_text(const base::FieldValue& value);

/// The dotted key of `name` in the section `prefix`: "optimizer" and "lr" give "optimizer.lr".
std::string joined_key(const std::string& prefix, const std::string& name);

}  // namespace grpo::config

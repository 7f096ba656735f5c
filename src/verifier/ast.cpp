#include "verifier/ast.h"

#include <algorithm>
#include <array>

namespace grpo::verifier {
namespace {

constexpr std::array<const char*, 9> kRelationTexts = {"=", "!=", "<", "<=", ">", ">=", "~", " in ", " congruent "};

bool is_unordered(Kind kind) {
  return kind == Kind::kAdd || kind == Kind::kMul || kind == Kind::kSet || kind == Kind::kUnion ||
         kind == Kind::kIntersection;
}

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::kPi:
      return "pi";
    case Kind::kEuler:
      return "e";
    case Kind::kImaginary:
      return "i";
    case Kind::kInfinity:
      return "oo";
    case Kind::kAdd:
      return "add";
    case Kind::kMul:
      return "mul";
    case Kind::kNeg:
      return "neg";
    case Kind::kDiv:
      return "div";
    case Kind::kPow:
      return "pow";
    case Kind::kRoot:
      return "root";
    case Kind::kFactorial:
      return "fact";
    case Kind::kBinomial:
      return "binom";
    case Kind::kLog:
      return "log";
    case Kind::kSum:
      return "sum";
    case Kind::kProduct:
      return "prod";
    case Kind::kPlusMinus:
      return "pm";
    case Kind::kPercent:
      return "percent";
    case Kind::kUnit:
      return "unit";
    case Kind::kRatio:
      return "ratio";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kSet:
      return "set";
    case Kind::kMatrix:
      return "matrix";
    case Kind::kUnion:
      return "union";
    case Kind::kIntersection:
      return "intersection";
    case Kind::kDifference:
      return "difference";
    case Kind::kNamedSet:
      return "set";
    case Kind::kPiecewise:
      return "cases";
    default:
      return "";
  }
}

std::string joined(const std::vector<std::string>& parts, const std::string& separator) {
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) out += (i == 0 ? "" : separator) + parts[i];
  return out;
}

std::string relation_text(Ref node, std::string (*render)(Ref)) {
  std::string out = render(node->kids[0]);
  for (size_t i = 0; i < node->relations.size(); ++i) {
    out += kRelationTexts[static_cast<size_t>(node->relations[i])] + render(node->kids[i + 1]);
  }
  return out;
}

std::string in_brackets(Ref node) {
  const std::string text = to_text(node);
  const bool loose = node->kind == Kind::kAdd || node->kind == Kind::kNeg || node->kind == Kind::kPlusMinus ||
                     node->kind == Kind::kMul || node->kind == Kind::kDiv;
  return loose ? "(" + text + ")" : text;
}

std::string call_text(Ref node) {
  std::vector<std::string> parts;
  for (Ref kid : node->kids) parts.push_back(to_text(kid));
  const bool named = node->kind == Kind::kFunction || node->kind == Kind::kApply;
  return (named ? node->text : std::string(name_of(node->kind))) + "(" + joined(parts, ", ") + ")";
}

}  // namespace

Ref Arena::make(Kind kind, std::vector<Ref> kids, std::string text) {
  Node node;
  node.kind = kind;
  node.kids = std::move(kids);
  node.text = std::move(text);
  return keep(std::move(node));
}

Ref Arena::number(Rational value) {
  Node node;
  node.number = std::move(value);
  return keep(std::move(node));
}

Ref Arena::keep(Node node) {
  budget_.spend(1);
  for (Ref kid : node.kids) node.depth = std::max(node.depth, kid->depth + 1);
  if (node.depth > kMaxTreeDepth) throw OverBudget("the expression nests too deeply");
  nodes_.push_back(std::move(node));
  return &nodes_.back();
}

std::string canonical_text(Ref node) {
  if (node->kind == Kind::kNumber) return node->number.to_string();
  if (node->kind == Kind::kSymbol || node->kind == Kind::kOpaque) return node->text;
  if (node->kind == Kind::kRelation) return "(" + relation_text(node, canonical_text) + ")";
  std::vector<std::string> parts;
  for (Ref kid : node->kids) parts.push_back(canonical_text(kid));
  if (is_unordered(node->kind)) std::sort(parts.begin(), parts.end());
  const std::string label = node->kind == Kind::kList ? "" : node->text;
  return std::string(name_of(node->kind)) + label + std::to_string(node->columns) + "(" + joined(parts, ",") + ")";
}

std::string to_text(Ref node) {
  std::vector<std::string> parts;
  switch (node->kind) {
    case Kind::kNumber:
      return node->number.to_string();
    case Kind::kSymbol:
    case Kind::kOpaque:
    case Kind::kNamedSet:
      return node->text;
    case Kind::kPi:
    case Kind::kEuler:
    case Kind::kImaginary:
    case Kind::kInfinity:
      return name_of(node->kind);
    case Kind::kRelation:
      return relation_text(node, to_text);
    case Kind::kNeg:
      return "-" + in_brackets(node->kids[0]);
    case Kind::kDiv:
      return in_brackets(node->kids[0]) + "/" + in_brackets(node->kids[1]);
    case Kind::kPow:
      return in_brackets(node->kids[0]) + "^" + in_brackets(node->kids[1]);
    case Kind::kFactorial:
      return in_brackets(node->kids[0]) + node->text;
    case Kind::kPercent:
      return in_brackets(node->kids[0]) + "%";
    case Kind::kUnit:
      return in_brackets(node->kids[0]) + " " + node->text;
    case Kind::kPlusMinus:
      return node->kids.size() == 1 ? "+-" + in_brackets(node->kids[0])
                                    : to_text(node->kids[0]) + "+-" + in_brackets(node->kids[1]);
    default:
      break;
  }
  for (Ref kid : node->kids) parts.push_back(node->kind == Kind::kMul ? in_brackets(kid) : to_text(kid));
  switch (node->kind) {
    case Kind::kAdd:
      return joined(parts, " + ");
    case Kind::kMul:
      return joined(parts, "*");
    case Kind::kRatio:
      return joined(parts, ":");
    case Kind::kList:
      return joined(parts, ", ");
    case Kind::kSet:
      return "{" + joined(parts, ", ") + "}";
    case Kind::kTuple:
      return node->text.substr(0, 1) + joined(parts, ", ") + node->text.substr(1);
    case Kind::kUnion:
      return joined(parts, " u ");
    default:
      return call_text(node);
  }
}

bool contains(Ref node, Kind kind) {
  if (node->kind == kind) return true;
  return std::any_of(node->kids.begin(), node->kids.end(), [kind](Ref kid) { return contains(kid, kind); });
}

void collect_symbols(Ref node, std::set<std::string>& names) {
  if (node->kind == Kind::kSymbol) names.insert(node->text);
  for (Ref kid : node->kids) collect_symbols(kid, names);
}

bool is_constant(Ref node) {
  return !contains(node, Kind::kSymbol) && !contains(node, Kind::kApply) && !contains(node, Kind::kOpaque);
}

}  // namespace grpo::verifier

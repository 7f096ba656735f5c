#!/usr/bin/env python3
"""Writes the chat template of a model folder as a mapping for model.template, for templates that grpo-train does not know.

    scripts/derive_template.py MODEL [--one-turn]

Renders the folder's own Jinja template (chat_template.jinja, or chat_template in tokenizer_config.json) on conversations that
tell its parts apart, and prints the parts as YAML. The mapping is then compared with the template on further
conversations. What it cannot express is named, and nothing is printed; --one-turn accepts a mapping that is right for
prompts of one user message, with or without a system message. Where the template writes the date, the mapping has that of the
day on which it was derived, and a line on stderr says so. Needs python3-jinja2 (scripts/setup.sh --tests installs it).
"""
import argparse
import datetime
import json
import pathlib
import sys

SYSTEM, USER, ANSWER, NEXT = "\u27e6system\u27e7", "\u27e6user\u27e7", "\u27e6answer\u27e7", "\u27e6next\u27e7"


class Inexpressible(Exception):
    """A feature of the template that a mapping has no place for."""


def token_text(value):
    return value.get("content") if isinstance(value, dict) else value


def read_folder(folder):
    """The template's text and the tokens it may name."""
    if not folder.is_dir():
        sys.exit(f"{folder}: no such folder; expected a model's, as scripts/get_model.sh makes it")
    path = folder / "tokenizer_config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        sys.exit(f"{path}: {error}")
    jinja = folder / "chat_template.jinja"
    text = jinja.read_text(encoding="utf-8") if jinja.exists() else config.get("chat_template")
    if isinstance(text, list):
        text = next((entry["template"] for entry in text if entry["name"] == "default"), None)
    if not text:
        sys.exit(f"{folder}: no chat template (chat_template.jinja, or chat_template in tokenizer_config.json)")
    tokens = {key: token_text(value) or "" for key, value in config.items() if key.endswith("_token") and isinstance(value, (str, dict))}
    return text, {"bos_token": "", "eos_token": "", **tokens}


class Template:
    """The folder's template, set up as transformers does."""

    def __init__(self, text, tokens):
        try:
            from jinja2 import TemplateError
            from jinja2.sandbox import ImmutableSandboxedEnvironment
        except ImportError:
            sys.exit("this needs jinja2: apt-get install python3-jinja2")
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
        environment.globals["raise_exception"] = self.refuse
        environment.globals["strftime_now"] = self.now
        self.error = TemplateError
        self.tokens = tokens
        self.writes_date = False
        try:
            self.template = environment.from_string(text)
        except TemplateError as error:
            sys.exit(f"the template is not valid Jinja: {error}")

    def refuse(self, message):
        raise self.error(message)

    def now(self, form):
        self.writes_date = True
        return datetime.datetime.now().strftime(form)

    def render(self, messages, opens=True):
        """Without tools and documents, which transformers then gives as None: templates ask whether they are none."""
        try:
            return self.template.render(messages=messages, tools=None, documents=None, add_generation_prompt=opens, **self.tokens)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # what the template's own expressions may raise
            raise self.error(str(error)) from error


def turn(role, content):
    return {"role": role, "content": content}


def between(text, left, right):
    """What stands between two contents, each of which must be there once."""
    for content in (left, right):
        if content and text.count(content) != 1:
            raise Inexpressible(f"a content is written {text.count(content)} times, not once")
    begin = text.index(left) + len(left) if left else 0
    return text[begin:text.index(right) if right else len(text)]


def without_end(text, end, what):
    if not text.endswith(end):
        raise Inexpressible(what)
    return text[:len(text) - len(end)]


def without_begin(text, begin, what):
    if not text.startswith(begin):
        raise Inexpressible(what)
    return text[len(begin):]


def with_system(template, parts):
    """The parts around a system message; none when the template refuses one."""
    asks = [turn("system", SYSTEM), turn("user", USER)]
    try:
        text = template.render(asks)
    except template.error:
        return None
    if SYSTEM not in text:
        return None
    head = between(text, "", SYSTEM)
    suffix = without_end(between(text, SYSTEM, USER), parts["user_prefix"], "the user's turn begins otherwise behind a system message")
    return head, suffix


def system_parts(template, parts, head):
    """bos, system_prefix, system_suffix and the default system message. head: what stands before the first user's turn."""
    found = with_system(template, parts)
    bos_token = template.tokens["bos_token"]
    if found is None:
        return {"bos": head}
    system_head, suffix = found
    if system_head.startswith(head):
        return {"bos": head, "system_prefix": system_head[len(head):], "system_suffix": suffix}
    bos = bos_token if bos_token and system_head.startswith(bos_token) else ""
    default = without_end(without_begin(head, system_head, "what stands without a system message is no system turn"), suffix,
                          "what stands without a system message is no system turn")
    return {"bos": bos, "system_prefix": system_head[len(bos):], "system": default, "system_suffix": suffix}


def derive(template):
    ask = [turn("user", USER)]
    opened, closed = template.render(ask), template.render(ask, opens=False)
    parts = {"user_suffix": between(closed, USER, "")}
    parts["assistant_prefix"] = without_begin(between(opened, USER, ""), parts["user_suffix"], "the opening of the assistant's turn changes what stands before it")
    answered = template.render(ask + [turn("assistant", ANSWER)], opens=False)
    parts["assistant_suffix"] = between(answered, ANSWER, "")
    dialog = template.render(ask + [turn("assistant", ANSWER), turn("user", NEXT)])
    parts["user_prefix"] = without_begin(between(dialog, ANSWER, NEXT), parts["assistant_suffix"], "a past turn of the assistant's ends otherwise than the last one")
    head = without_end(between(opened, "", USER), parts["user_prefix"], "the first user's turn begins otherwise than later ones")
    parts.update(system_parts(template, parts, head))
    parts["end_of_turn"] = parts["assistant_suffix"].strip()
    order = ["bos", "system_prefix", "system", "system_suffix", "user_prefix", "user_suffix", "assistant_prefix", "assistant_suffix", "end_of_turn"]
    return {key: parts[key] for key in order if key in parts}


def fill(parts, messages):
    """What grpo-train makes of the mapping (src/tokenizer/chat_template.cpp)."""
    if "system" in parts and messages[0]["role"] != "system":
        messages = [turn("system", parts["system"])] + messages
    text = parts.get("bos", "")
    for message in messages:
        role = message["role"]
        text += parts.get(role + "_prefix", "") + message["content"] + parts.get(role + "_suffix", "")
    return text + parts["assistant_prefix"]


CHECKS = [
    (True, "a plain question", [turn("user", "What is 1+1?")]),
    (True, "white space around a content (it is stripped)", [turn("user", "  two\nlines \n")]),
    (True, "a system message", [turn("system", "Be brief."), turn("user", "Why?")]),
    (True, "an empty system message", [turn("system", ""), turn("user", "Why?")]),
    (False, "earlier turns", [turn("user", "1"), turn("assistant", "2"), turn("user", "3")]),
    (False, "earlier turns behind a system message", [turn("system", "s"), turn("user", "1"), turn("assistant", "2"), turn("user", "3")]),
    (False, "thoughts in earlier turns (they are dropped or written otherwise)",
     [turn("user", "1"), turn("assistant", "<think>\nt\n</think>\n\n2"), turn("user", "3")]),
]


def differences(template, parts):
    """(needed for one turn, feature) of each check that the mapping fails. What the template refuses is no difference."""
    found = []
    for one_turn, feature, messages in CHECKS:
        try:
            expected = template.render(messages)
        except template.error:
            continue
        if fill(parts, messages) != expected:
            found.append((one_turn, feature))
    return found


def as_yaml(parts):
    lines = ["model:", "  template:"] + [f"    {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in parts.items()]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description="Writes a model folder's chat template as a mapping for model.template.")
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--one-turn", action="store_true", help="accept a mapping that is right for prompts of one user message")
    options = parser.parse_args()
    template = Template(*read_folder(options.model))
    try:
        parts = derive(template)
    except Inexpressible as error:
        sys.exit(f"no mapping expresses this template: {error}")
    except template.error as error:
        sys.exit(f"the template refuses a plain conversation: {error}")
    failed = differences(template, parts)
    for _, feature in failed:
        print(f"no mapping expresses what this template does with {feature}", file=sys.stderr)
    if any(one_turn for one_turn, _ in failed) or (failed and not options.one_turn):
        if not any(one_turn for one_turn, _ in failed):
            print("for prompts of one user message it is right: --one-turn prints it", file=sys.stderr)
        sys.exit(1)
    if template.writes_date:
        print("the template writes the date: the mapping has that of today, and will keep it", file=sys.stderr)
    print(as_yaml(parts))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""scripts/derive_template.py on templates of this test's own making. Argument: the source folder."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

try:
    import jinja2  # noqa: F401  the script's own need
    import yaml
except ImportError as error:
    print(f"skipped: {error.name} is not here (scripts/setup.sh --tests installs it)")
    sys.exit(0)

SCRIPT = os.path.join(sys.argv[1], "scripts", "derive_template.py")
LOOP = "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>\n' }}{% endfor %}"
OPENING = "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"


def derive(template, *options, **tokens):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as file:
            json.dump({"chat_template": template, **tokens}, file)
        return subprocess.run([SCRIPT, folder, *options], capture_output=True, text=True, timeout=60)


class DeriveTemplate(unittest.TestCase):
    def mapping(self, template, *options, **tokens):
        result = derive(template, *options, **tokens)
        self.assertEqual(result.returncode, 0, result.stderr)
        return yaml.safe_load(result.stdout)["model"]["template"]

    def refused(self, template, *words):
        result = derive(template)
        self.assertEqual((result.returncode, result.stdout), (1, ""), result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def test_parts_of_a_plain_loop(self):
        self.assertEqual(self.mapping("{{ bos_token }}" + LOOP + OPENING, bos_token="<s>"),
                         {"bos": "<s>", "system_prefix": "<|system|>", "system_suffix": "<|end|>\n", "user_prefix": "<|user|>", "user_suffix": "<|end|>\n",
                          "assistant_prefix": "<|assistant|>", "assistant_suffix": "<|end|>\n", "end_of_turn": "<|end|>"})

    def test_a_default_system_message_is_found(self):
        default = "{{ bos_token }}{% if messages[0]['role'] != 'system' %}{{ '<|system|>Be kind.<|end|>\n' }}{% endif %}"
        mapping = self.mapping(default + LOOP + OPENING, bos_token={"content": "<s>"})
        self.assertEqual((mapping["bos"], mapping["system"]), ("<s>", "Be kind."))

    def test_a_template_without_system_messages(self):
        mapping = self.mapping("{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + LOOP + OPENING)
        self.assertNotIn("system_prefix", mapping)

    def test_what_a_mapping_cannot_express_is_named(self):
        self.refused(LOOP.replace("m['content']", "m['content'] | trim") + OPENING, "it is stripped")
        self.refused(LOOP.replace("m['content']", "m['content'].split('</think>')[-1]") + OPENING, "thoughts in earlier turns", "--one-turn")
        self.refused("{{ messages[0]['content'] + messages[0]['content'] }}", "2 times")
        self.refused("{% for m in messages %}{{ m.undefined.attribute }}{% endfor %}", "refuses")

    def test_it_renders_as_transformers_does_without_tools(self):
        tools = "{% if tools is not none %}{{ 'Tools:' }}{% endif %}{{ unk_token }}"
        self.assertEqual(self.mapping(tools + LOOP + OPENING, unk_token="<unk>", pad_token=None, add_bos_token=True)["bos"], "<unk>")

    def test_a_date_is_named(self):
        result = derive("{{ '<|date|>' + strftime_now('%Y') + '<|end|>' }}" + LOOP + OPENING)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("writes the date", result.stderr)

    def test_what_cannot_be_read_is_named(self):
        self.refused("{{ 'a' + 1 }}", "refuses a plain conversation")
        result = subprocess.run([SCRIPT, "nowhere"], capture_output=True, text=True, timeout=60)
        self.assertIn("nowhere: no such folder", result.stderr)

    def test_one_turn_is_enough_where_only_past_turns_differ(self):
        opens_thought = LOOP + "{% if add_generation_prompt %}{{ '<|assistant|><think>\n' }}{% endif %}"
        self.refused(opens_thought, "earlier turns")
        self.assertEqual(self.mapping(opens_thought, "--one-turn")["assistant_prefix"], "<|assistant|><think>\n")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

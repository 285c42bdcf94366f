"""Chats as transformers writes them, by templates in the manner of public models'.

    python3 tools/golden/templates.py test/golden/templates.json
"""
import datetime
import json
import sys

from transformers.utils import chat_template_utils
from transformers.utils.chat_template_utils import render_jinja_template

DAY = datetime.datetime(2024, 7, 26)


class Day(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return DAY


chat_template_utils.datetime = Day  # `strftime_now` on a fixed day

SPECIALS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}

TEMPLATES = {
    "chatml-default-system": """{%- if messages[0]['role'] != 'system' %}{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
""",
    "qwen-tools": """{%- if tools %}
    {{- '<|im_start|>system\\n' }}{%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- "# Tools\\n<tools>" }}
    {%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- endif %}
{%- set ns = namespace(last=-1) %}
{%- for m in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}{%- if ns.last == -1 and m.role == 'user' %}{%- set ns.last = index %}{%- endif %}{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|im_start|>assistant' }}
        {%- if loop.index0 > ns.last and message.content %}{{- '\\n<think>\\n</think>' }}{%- endif %}
        {%- if message.content %}{{- '\\n' + message.content.split('</think>')[-1].lstrip('\\n') }}{%- endif %}
        {%- if message.tool_calls %}
            {%- for call in message.tool_calls %}
                {%- if call.function %}{%- set call = call.function %}{%- endif %}
                {{- '\\n<tool_call>\\n{"name": "' }}{{- call.name }}{{- '", "arguments": ' }}{{- call.arguments if call.arguments is string else call.arguments | tojson }}{{- '}\\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' }}{{- message.content }}{{- '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}
""",
    "llama3-date": """{{- bos_token }}
{%- if not date_string is defined %}{%- if strftime_now is defined %}{%- set date_string = strftime_now("%d %b %Y") %}{%- else %}{%- set date_string = "26 Jul 2024" %}{%- endif %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content']|trim %}{%- set messages = messages[1:] %}{%- else %}{%- set system_message = "" %}{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}{{- "Environment: ipython\\n" }}{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}{{- raise_exception("One tool call at a time") }}{%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n{"name": "' + tool_call.name + '", "parameters": ' }}{{- tool_call.arguments | tojson }}{{- "}<|eot_id|>" }}
    {%- else %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or (message.content is iterable and message.content is not string) %}{{- message.content | tojson }}{%- else %}{{- message.content }}{%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}
""",
    "llama2": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "zephyr": "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
    "gemma": "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}",
    "macro": "{%- macro turn(role, text, end='<|end|>') -%}<|{{ role }}|>{{ text | trim | replace('\\n', ' / ') }}{{ end }}{%- endmacro -%}\n{%- for m in messages if m.content -%}\n{{ turn(m.role | upper, m.content) }}{{ '' if loop.last else '~' }}\n{%- endfor -%}{{ turn('assistant', '', '') if add_generation_prompt }}",
    "generation": "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}{% else %}{{ m.role | capitalize }}: {{ m.content }}\n{% endif %}{% endfor %}",
    "filters": "{% set roles = messages | map(attribute='role') | list %}{{ roles | join(',') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ (messages | last).content[:7] }} {{ messages[-1]['content'].upper() if messages[-1]['content'] else 'none' }} {{ 'x' in messages[0].content }} {{ [1, 2.5, none, true, 'é\"'] | tojson }} {{ messages[0].content.startswith('You') }} {% for k, v in {'a': 1, 'b': [1, 2]}.items() %}{{ k }}={{ v }};{% endfor %} {{ 7 // 2 }} {{ 7 % 3 }} {{ 2 ** 3 }} {{ -7 // 2 }} {{ '%s' | default('d') }} {{ missing | default('none', true) }} {{ range(3) | list }}",
    "python": "{% for m in messages %}{{ m.content.lstrip('\n') }}|{{ m.content.strip('\n ') }}|{{ m.content.rstrip('.?\n') }}|{{ m.content | trim('\n') }}|{{ m.role.capitalize() }}{{ 'tWO wORDS' | capitalize }}{{ \"o'neil tWO\".title() }}|{{ loop.first }} {{ none }} {{ m.missing }}{{ [m.role, 1, 2.0, none, true, \"it's\"] }} {{ {'a': m.content} }} {{ 4 / 2 }} {{ 3 / 2 }}\n{% endfor %}",
    "break": "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{% if loop.index > 3 %}{% break %}{% endif %}[{{ loop.index }}/{{ loop.length }}|{{ loop.revindex0 }}] {{ m.role }}: {{ m.content }}\n{% endfor %}",
}

TOOLS = [{"type": "function", "function": {"name": "add", "description": "Adds \"two\" numbers <é>", "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a", "b"]}}}]
CALL = [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": {"a": 12, "b": 2.5, "é": None, "ok": True}}}]

CHATS = {
    "one": [{"role": "user", "content": "What is 2 + 2?"}],
    "system": [{"role": "system", "content": " You are terse. "}, {"role": "user", "content": "\nHi & <b>\"you\"</b> 'é'\n"}],
    "turns": [{"role": "system", "content": "Count."}, {"role": "user", "content": "1"}, {"role": "assistant", "content": " <think>\nhm\n</think>\n\n2 "}, {"role": "user", "content": "3"}, {"role": "assistant", "content": "4"}],
    "users": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
    "tools": [{"role": "user", "content": "12 + 2.5?"}, {"role": "assistant", "content": "", "tool_calls": CALL}, {"role": "tool", "name": "add", "tool_call_id": "c1", "content": "14.5"}, {"role": "tool", "content": "again"}, {"role": "assistant", "content": "14.5"}],
}


def main(out: str) -> None:
    cases = []
    for name, template in TEMPLATES.items():
        for chat, messages in CHATS.items():
            for prompt in (False, True):
                for variables in ({}, {"enable_thinking": False}) if name == "qwen-tools" else ({},):
                    tools = TOOLS if chat == "tools" else None
                    try:
                        [text], _ = render_jinja_template([messages], tools=tools, chat_template=template, add_generation_prompt=prompt, **SPECIALS, **variables)
                    except Exception as error:
                        text = None  # refused, by the template or by jinja
                        print(name, chat, type(error).__name__, error)
                    cases.append([name, chat, prompt, variables, text])
    with open(out, "w", encoding="utf-8") as file:
        json.dump({"date": DAY.date().isoformat(), "specials": SPECIALS, "templates": TEMPLATES, "chats": CHATS, "tools": TOOLS, "cases": cases}, file, ensure_ascii=True, indent=0)
        file.write("\n")


main(sys.argv[1])

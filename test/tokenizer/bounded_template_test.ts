import assert from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "../../lib/runtime/errors.ts";
import { busyMilliseconds } from "../_time.ts";
import { renderChat } from "../../lib/tokenizer/chat_template.ts";

function refused(template: string, reason: RegExp): void {
  const seconds =
    busyMilliseconds(() =>
      assert.throws(() => renderChat(template, [{ role: "user", content: "a" }]), (error: Error) => {
        assert.ok(error instanceof InputError);
        assert.match(error.message, reason);
        assert.ok(
          error.message.startsWith("Cannot render the chat template: ") && !error.message.includes("\n"),
        );
        return true;
      })
    ) / 1000;
  assert.ok(seconds < 10, `${seconds} s`);
}

const thousand = "range(1000)";

test("templates that do not end, or grow without end, are refused in seconds", () => {
  const nested =
    `{% for a in ${thousand} %}{% for b in ${thousand} %}{% for c in ${thousand} %}x{% endfor %}`;
  refused(`${nested}{% endfor %}{% endfor %}`, /it takes more than 500000 steps$/);
  // Rounds count, whatever is in them, and lists by their length.
  const twice = (inner: string) => `{% for a in range(9999) %}${inner}{% endfor %}`;
  for (
    const inner of [
      "{% for b in range(9999) %}{% endfor %}",
      "{% for b in range(9999) %}x{% endfor %}",
      "{% for b in range(9999) if b < 0 %}{% endfor %}",
      "{% set x = range(65536) %}",
    ]
  ) refused(twice(inner), /it takes more than 500000 steps$/);
  refused("{% for i in range(4294967296) %}{% endfor %}", /range\(\) asks for more than 65536 numbers$/);
  refused(
    "{% for i in range(0, -9000000000000000, -1) %}{% endfor %}",
    /range\(\) asks for more than 65536 numbers$/,
  );
  const double = "{% set s.x = s.x ~ s.x %}".repeat(40);
  refused(`{% set s = namespace(x='ab') %}${double}`, /it makes a text of more than 16777216 characters$/);
  const list = "{% set s.x = s.x + s.x %}".repeat(40);
  refused(`{% set s = namespace(x=[1, 2]) %}${list}`, /it makes a list of more than 65536 items$/);
  refused("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", /./);
  refused("{{ '" + "x".repeat(1 << 20) + "' }}", /it has 1048584 characters, more than 1048576$/);
});

test("what templates do is not refused: 300 turns of long texts, ranges as Python's", () => {
  const messages = Array.from(
    { length: 300 },
    (_, i) => ({ role: i % 2 ? "assistant" : "user", content: "x".repeat(5000) }),
  );
  const text = renderChat(
    "{% for m in messages %}[{{ m.role | upper }}]{{ m.content | trim }}{% endfor %}",
    messages,
  );
  assert.equal(text.length, 300 * 5000 + 150 * "[USER]".length + 150 * "[ASSISTANT]".length);
  // Two thousand turns that are gone through for each of three things.
  const many = Array.from({ length: 2000 }, () => messages[0]!);
  const loops = "{% for m in messages %}{{ loop.index }}{% endfor %}".repeat(3);
  assert.ok(renderChat(loops, many).length > 3 * 2000);
  const each = (range: string) => renderChat(`{% for i in ${range} %}{{ i }} {% endfor %}`, []);
  assert.deepEqual(
    [
      each("range(3)"),
      each("range(1, 4)"),
      each("range(5, 0, -2)"),
      each("range(2, 2)"),
      each("range(0, 5, 2)"),
    ],
    ["0 1 2 ", "1 2 3 ", "5 3 1 ", "", "0 2 4 "],
  );
});

test("a template's clock stands still: at Llama 3's day, or at the one that is given", () => {
  const template = "{{ strftime_now('%d %b %Y|%-d %B %y|%a %A|%m|%H:%M:%S|%%') }}";
  assert.equal(renderChat(template, []), "26 Jul 2024|26 July 24|Fri Friday|07|00:00:00|%");
  assert.equal(
    renderChat(template, [], { date: "2025-03-01" }),
    "01 Mar 2025|1 March 25|Sat Saturday|03|00:00:00|%",
  );
});

test("generation tags, which other trainers ask for, change nothing", () => {
  const plain = "{% for m in messages %}[{{ m.content }}]{% endfor %}";
  const tagged = "{% for m in messages %}[{% generation %}{{ m.content }}{% endgeneration %}]{% endfor %}";
  const chat = [{ role: "assistant", content: "5" }];
  assert.equal(renderChat(tagged, chat), renderChat(plain, chat));
});

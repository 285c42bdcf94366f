import assert from "node:assert/strict";
import { test } from "node:test";
import { formatRecord } from "../../lib/data/jsonl.ts";
import { InputError, UsageError } from "../../lib/runtime/errors.ts";
import { oneLine, shownText } from "../../lib/runtime/one_line.ts";

test("control characters, escape sequences and marks of direction are shown, not obeyed", () => {
  assert.equal(oneLine("a\x1b[2Jb"), "a\\u001b[2Jb");
  assert.equal(oneLine("a\0b\x7fc\x9bd\u202ee"), "a\\u0000b\\u007fc\\u009bd\\u202ee");
  assert.equal(oneLine(" two\r\n lines\t"), "two lines");
  assert.equal(oneLine('the token "  "'), 'the token "  "');
  assert.equal(oneLine("half \ud800 pair"), "half \\ud800 pair");
  assert.equal(oneLine("é 漢字 😀 −1"), "é 漢字 😀 −1");
});

test("a long line keeps its beginning and its end", () => {
  const line = oneLine(`Cannot read x.json: got ${"9".repeat(5_000_000)}: expected a number`);
  assert.equal(line.length, 400);
  assert.match(line, /^Cannot read x\.json: got 9+ … 9+: expected a number$/);
  assert.equal(oneLine("😀".repeat(500)).includes("\ufffd"), false);
  assert.doesNotThrow(() => encodeURIComponent(oneLine("😀".repeat(500))));
});

test("every error of the library is such a line", () => {
  assert.equal(new InputError("a\nb\x1b[0m").message, "a b\\u001b[0m");
  assert.ok(new UsageError("x".repeat(1000)).message.length <= 400);
});

test("a text that a terminal shows keeps its lines and obeys nothing else", () => {
  assert.equal(shownText("a\tb\n\x1b[2J\x9bc\r\u202ed\n"), "a\tb\n\\u001b[2J\\u009bc\\u000d\\u202ed\n");
  const record = { text: "\x9b31m" };
  assert.deepEqual(JSON.parse(shownText(JSON.stringify(record))), record);
});

test("a record that is nested too deeply to be written is named", () => {
  const deep = JSON.parse("[".repeat(100_000) + "]".repeat(100_000));
  assert.throws(() => formatRecord({ id: "a", deep }), {
    name: "InputError",
    message: 'Cannot write record "a": its lists or objects are nested too deeply',
  });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { InputError, UsageError } from "../../lib/runtime/errors.ts";
import { oneLine } from "../../lib/runtime/one_line.ts";

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

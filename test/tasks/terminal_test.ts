/** Three programs of a pipe that share a terminal: no line of one covers a line of another, and no bar leaves parts. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { commandOf, root, write } from "../_commands.ts";
import { shownLines } from "./_screen.ts";

/** Runs a line of shell on a terminal of its own, which util-linux makes: the bytes that reach its screen. */
function onTerminal(command: string, columns: number): string {
  const { stdout, stderr, error } = spawnSync(
    "script",
    ["-q", "-e", "-c", `stty cols ${columns} rows 20; ${command}`, "/dev/null"],
    {
      cwd: root,
      input: "",
      encoding: "utf8",
      timeout: 170_000,
      env: {
        ...process.env,
        XDG_RUNTIME_DIR: "/tmp",
        NO_COLOR: "1",
        AFT_THREADS: "1",
        OPENBLAS_NUM_THREADS: "1",
      },
    },
  );
  if (error) throw error;
  assert.equal(stderr, "");
  return stdout;
}

/** The words of a program; Deno says nothing of its own, as in the tasks. */
const words = (program: string) => commandOf(program).join(" ").replace(" run ", " run -q ");
const linux = { skip: process.platform !== "linux" && "needs script of util-linux" };
const bar = (name: string) => `${name} ${"█".repeat(24)} 20/20`;

test("the screen by hand: wrapped lines, a bar that is drawn again, a place that was saved", () => {
  const size = { columns: 5, rows: 3 };
  assert.deepEqual(shownLines("abcdefg\r\nh\r\n", size), ["abcdefg", "h"]);
  assert.deepEqual(shownLines("bar 1\rbar\x1b[K\r\x1b[Kline\r\nbar 2", size), ["line", "bar 2"]);
  assert.deepEqual(shownLines("abcde\x1b[K", size), ["abcde"]);
  // A saved place is one of the screen: what scrolled meanwhile is overwritten.
  assert.deepEqual(shownLines("\x1b7ab\r\nc\r\nd\r\ne\x1b8X", size), ["ab", "X", "d", "e"]);
});

for (const columns of [80, 60]) {
  test(`bars, warnings and records of three programs on one terminal of ${columns} columns`, linux, () => {
    const program = (given: string) => `${words("test/tasks/_bar_program.ts")} ${given}`;
    const given = write(
      `given-${columns}.jsonl`,
      Array.from({ length: 20 }, (_, i) => ({ id: i, text: "x".repeat(90) })),
    );
    const bytes = onTerminal(
      `cat ${given} | ${program("one 30")} | ${program("two 20")} | ${program("three 40")}`,
      columns,
    );
    const shown = shownLines(bytes, { columns, rows: 20 });
    const warnings = ["one", "two", "three"].flatMap((name) =>
      [5, 10, 15, 20].map((count) => `${name}: warning ${count}: ${"a long word and ".repeat(8)}the end`)
    );
    const records = Array.from({ length: 20 }, (_, i) => JSON.stringify({ id: i, text: "x".repeat(90) }));
    const ends = ["one", "two", "three"].flatMap((name) => [`${name}: done`, bar(name)]);
    const cut = shown.map((line) => line.replace(/^((?:one|two|three) █+ 20\/20)\b.*/, "$1"));
    assert.deepEqual(cut.toSorted(), [...warnings, ...records, ...ends].toSorted());
  });
}

test("an answer that is shown as it comes is not covered by a warning, nor by a bar", linux, () => {
  const bytes = onTerminal(words("test/tasks/_answer_program.ts"), 80);
  assert.deepEqual(shownLines(bytes, { columns: 80, rows: 20 }), [
    "an answer as it",
    "a warning",
    " comes",
    "next",
    "loading more",
  ]);
});

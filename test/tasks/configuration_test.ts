/** Configuration files in YAML, words of other tools, and paths with a slip of the hand. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { test } from "node:test";
import { trainingOptions } from "../../tasks/cli/training.ts";
import { readConfiguration } from "../../tasks/cli/configuration_file.ts";
import { elsewhere } from "../../tasks/cli/foreign_words.ts";
import { inGroups } from "../../tasks/cli/help_groups.ts";
import { choice, integer, text } from "../../tasks/cli/option.ts";
import { taskNames } from "../../tasks/cli/task_names.ts";
import { nearPath } from "../../lib/runtime/near_path.ts";
import manifest from "../../package.json" with { type: "json" };
import { asSaid, at, base, run, write } from "../_commands.ts";

const options = {
  model: text("--model", { help: "" }),
  samples: integer("--samples", { help: "" }),
  learningRate: trainingOptions.learningRate,
  backend: trainingOptions.backend,
  resume: trainingOptions.resume,
  data: text("--data", { help: "" }),
  answerIndex: choice("--answer-index", { choices: ["0", "1", "letter"], help: "" }),
};
const read = (name: string, content: string, task = "vft") =>
  readConfiguration(write(name, content), { task, options });

test("YAML: comments, numbers as people write them, lists, null, and a section a task under what all share", async () => {
  assert.deepEqual(
    await read(
      "plain.yaml",
      "# why\nmodel: a/b # the base\nlearning-rate: 1e-3\nresume: true\nsamples: null\n",
    ),
    { model: "a/b", learningRate: 1e-3, resume: true },
  );
  assert.deepEqual(await read("list.yml", "data: [gsm8k, aqua]\nanswer-index: 0\n"), {
    data: "gsm8k,aqua",
    answerIndex: "0",
  });
  const chain =
    "backend: wasm\nmax-tokens: 9\nsamples: 2\nvft:\n  model: x\n  samples: 3\nscore: {model: y}\n";
  // What vft has no use for but another task has (max-tokens) is passed over; its section comes before what is shared.
  assert.deepEqual(await read("chain.yaml", chain), { backend: "wasm", samples: 3, model: "x" });
  assert.deepEqual(await read("chain.yaml", chain, "score"), { backend: "wasm", samples: 2, model: "y" });
  assert.deepEqual(await read("aliases.yaml", "vft: &v {samples: 4}\nscore: *v\n", "score"), { samples: 4 });
  assert.deepEqual(await read("run.json", '{"task": "vft", "options": {"samples": 1}}'), { samples: 1 });
});

test("a configuration that cannot be meant is refused in one line", async () => {
  const nest = (level: number): string =>
    level === 0 ? "a: &a0 [x,x,x,x,x,x,x,x,x]\n" : nest(level - 1) +
      `b${level}: &a${level} [${Array(9).fill(`*a${level - 1}`).join(",")}]\n`;
  const cases: [string, string, RegExp][] = [
    ["bomb.yaml", nest(8), /its aliases stand for more than 100 times what is written$/],
    ["twice.yaml", "samples: 1\nsamples: 2\n", /expected YAML: Map keys must be unique at line 2, column 1$/],
    ["open.yaml", "data: [a\nsamples: 3\n", /expected YAML: [^\n]+ at line 2, column 1$/],
    ["tag.yaml", "samples: !!js/function 3\n", /expected YAML: Unresolved tag[^\n]+ at line 1, column 10$/],
    ["many.yaml", "samples: 1\n---\nsamples: 2\n", /expected one YAML document: found several$/],
    ["empty.yaml", "# nothing\n", /expected option names and their values, or a section a task$/],
    ["scalar.yaml", "samples", /expected option names and their values, or a section a task$/],
    ["word.yaml", "sampels: 2\n", /unknown key "sampels": did you mean samples\?$/],
    ["theirs.yaml", "lr: 2\n", /unknown key "lr": it is learning-rate here$/],
    ["kind.yaml", "samples: two\n", /"samples" must be a positive integer: got "two"$/],
    [
      "object.yaml",
      "data: {name: gsm8k}\n",
      /"data" must be a text that is not empty: got \{"name":"gsm8k"\}$/,
    ],
    ["section.yaml", "vtf: {samples: 1}\n", /"vtf" is no task's section: did you mean vft\?$/],
    ["shared.yaml", "sampels: 1\nvft: {samples: 1}\n", /unknown key "sampels": did you mean samples\?$/],
    [
      "other.yaml",
      "score: {samples: 1}\nask: {samples: 1}\n",
      /it has no section "vft", only "score", "ask"$/,
    ],
    ["other.json", '{"task": "score", "options": {}}', /it is a configuration of score, not of vft$/],
    ["half.json", "{", /expected JSON: [^\n]+$/],
  ];
  for (const [name, content, message] of cases) {
    await assert.rejects(read(name, content), (error: Error) => {
      assert.equal(error.name, "UsageError", name);
      assert.match(error.message, message);
      assert.match(error.message, /^Cannot read [^\n]+$/);
      return true;
    });
  }
});

test("sections are those of the tasks that there are", () => {
  const scripts = Object.keys(manifest.scripts).filter((name) => name !== "test" && name !== "prepack");
  assert.deepEqual(
    [...taskNames].filter((name) => !["make-base", "pack"].includes(name)).sort(),
    scripts.sort(),
  );
});

test("the words of other tools lead to ours, where the task has them", () => {
  const told: [string, string | undefined][] = [
    ["--lr", ": it is --learning-rate here"],
    ["--learning_rate", ": it is --learning-rate here"],
    ["--output_dir=x", ": it is --out here"],
    ["--per-device-train-batch-size", ": it is --batch-size here"],
    ["--num_train_epochs", ": it is --epochs here"],
    ["--model_name_or_path", ": it is --model here"],
    ["--lora_r", ": it is --lora r=16 here"],
    ["--load-in-4bit", ": it is --base-dtype int4 here"],
    ["lora_alpha", ": it is lora: r=16,alpha=32 here"],
    ["--save_total_limit", ": it is --keep-last here"],
    ["--bf16", ": numbers are computed in F32 here; --dtype BF16 writes the weights so"],
    ["--num-generations", undefined], // a training samples nothing
    ["--toString", undefined],
    ["--nonsense", undefined],
  ];
  for (const [word, expected] of told) assert.equal(elsewhere(word, trainingOptions), expected, word);
});

test("a path that is not there gets the nearest that is", async () => {
  for (
    const name of ["near/models/small/config.json", "near/train.jsonl", "near/test.jsonl", "near/in.jsonl"]
  ) {
    mkdirSync(dirname(at(name)), { recursive: true });
    write(name, "{}");
  }
  const cases: [string, string | undefined][] = [
    ["near/trian.jsonl", "near/train.jsonl"],
    ["near/train.jsnl", "near/train.jsonl"],
    ["near/train.json", "near/train.jsonl"],
    ["near/modles/small", "near/models/small"],
    ["near/models/smal", "near/models/small"],
    ["naer/train.jsonl", "near/train.jsonl"],
    ["near/none.jsonl", undefined],
    ["near/elsewhere/x", undefined],
    ["nothing/at/all", undefined],
  ];
  for (const [path, expected] of cases) {
    assert.equal(
      await nearPath(at(path)),
      expected === undefined ? "" : `: did you mean ${at(expected)}?`,
      path,
    );
  }
  assert.equal(await nearPath("fixtrues/base"), ": did you mean fixtures/base?");
});

test("--help is -h, lists many options in groups, each once, and fits 60 columns", async () => {
  const [page, short, few] = await Promise.all([
    run("ca-align", ["--help"], { env: { COLUMNS: "60" } }),
    run("ca-align", ["-h"], { env: { COLUMNS: "60" } }),
    run("doctor", ["-h"]),
  ]);
  assert.equal(short.out, page.out);
  for (const line of page.out.split("\n")) assert.ok([...line].length <= 60, line);
  const titles = [...page.out.matchAll(/^([A-Z][\w ]+):$/gm)].map(([, title]) => title);
  assert.deepEqual(titles, [
    ...["Model", "Data", "Prompts", "Training", "Evaluation while training", "What is written", "Machine"],
    ...["Options of the objective", "Every task", "Examples"],
  ]);
  const flags = [...page.out.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, flag]) => flag);
  assert.equal(new Set(flags).size, flags.length);
  for (const { flag, initial } of Object.values(trainingOptions)) {
    assert.ok(flags.includes(initial === true ? flag.replace("--", "--no-") : flag), flag);
  }
  assert.match(few.out, /\nOptions:\n/);
  const listed = inGroups(Array.from({ length: 20 }, (_, i) => ({ entry: i, flags: [`--own-${i}`] })));
  assert.deepEqual(listed.map(({ entries }) => entries.length), [20]);
});

test("one file serves a chain, and --dry-run shows what a task made of it", async () => {
  const file = write(
    "chain-all.yaml",
    `backend: wasm\nseed: 7\ngenerate:\n  model: ${base}\n  samples: 2\nscore: {}\n`,
  );
  const [generated, scored, wrong] = await Promise.all([
    run("generate", ["--config", file, "--dry-run", "--seed", "8"]),
    run("score", ["--config", file, "--dry-run"]),
    run("evaluate", ["--config", file, "--dry-run"]),
  ]);
  const { samples, seed, backend } = JSON.parse(generated.out).options;
  assert.deepEqual([samples, seed, backend], [2, 8, "wasm"]);
  assert.equal(JSON.parse(scored.out).options.backend, "wasm");
  assert.deepEqual([wrong.code, wrong.err], [
    2,
    asSaid(`evaluate: Cannot read ${file}: it has no section "evaluate", only "generate", "score"\n`),
  ]);
});

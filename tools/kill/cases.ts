/** The commands that are killed. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A command that is killed. */
export interface Case {
  readonly task: string;
  /** Its words, but for where it writes. */
  readonly args: readonly string[];
  /** The option that says where: a folder, or a file. */
  readonly to: "--out" | "--output";
  /** Where a run stands, of one that is killed in each of its stages. */
  readonly stage?: (path: string) => string;
}

const quick = ["--backend", "wasm", "--quiet"];
const learn = [
  "--model",
  "fixtures/base",
  ...quick,
  "--steps",
  "12",
  "--save-every",
  "3",
  "--batch-size",
  "4",
  "--learning-rate",
  "1e-3",
];

/** A small run of `align`, and what it makes one after the other: models, and files of records. */
function align(start: "base" | "vft", made: readonly string[]): Case {
  const stages = [
    ["align.json", "beginning"],
    ...made.map((name) => [name.endsWith("candidates") ? `${name}.jsonl` : `${name}/config.json`, name]),
    ["report.html", "measuring"],
  ] as [file: string, stage: string][];
  return {
    task: "align",
    to: "--out",
    args: [
      ...quick,
      "--start",
      start,
      ..."--limit 24 --test-limit 8 --epochs 1 --align-epochs 1 --samples 3 --votes 0 --max-tokens 24 --constraints dc"
        .split(" "),
    ],
    stage: (path) => stages.find(([file]) => !existsSync(join(path, file)))?.[1] ?? "the end",
  };
}

/** What is killed, and the files that it reads, in a folder: `grouped` is written here, `scored` must be made of it by score. */
export function killCases(
  folder: string,
): { readonly grouped: string; readonly scored: string; readonly cases: Readonly<Record<string, Case>> } {
  const groups = Array.from({ length: 24 }, (_, i) => ({
    id: `q${i}`,
    question: `Tom has ${i} balls and buys 5. How many has he?`,
    reference: `${i} + 5 = ${i + 5}\n#### ${i + 5}`,
    answer: `${i + 5}`,
    candidates: [{ text: "He has 5.\n#### 5" }, { text: `#### ${i + 5}` }, {
      text: `${i} + 5\n#### ${i + 5}`,
    }],
  }));
  const grouped = join(folder, "groups.jsonl");
  writeFileSync(grouped, groups.map((group) => `${JSON.stringify(group)}\n`).join(""));
  const scored = join(folder, "scored.jsonl");

  const cases: Readonly<Record<string, Case>> = {
    vft: { task: "vft", to: "--out", args: [...learn, "--data", "arithmetic", "--limit", "24"] },
    "ca-align": { task: "ca-align", to: "--out", args: [...learn, "--input", scored, "--lora", "r=4"] },
    generate: {
      task: "generate",
      to: "--output",
      args: [
        "--model",
        "fixtures/base",
        ...quick,
        "--data",
        "arithmetic",
        "--limit",
        "40",
        "--samples",
        "3",
        "--max-tokens",
        "24",
      ],
    },
    score: {
      task: "score",
      to: "--output",
      args: ["--model", "fixtures/base", ...quick, "--input", grouped, "--micro-batch", "256"],
    },
    align: align("base", ["vft", "test-candidates", "candidates", "aft-dc"]),
    "align-from-vft": align("vft", ["vft", "test-candidates", "candidates", "control", "aft-dc"]),
  };
  return { grouped, scored, cases };
}

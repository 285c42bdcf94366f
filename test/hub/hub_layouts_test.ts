/**
 * The named data sets as the hub publishes them: repository, file names and columns, as public code that loads them
 * uses them (looked up in November 2026; of ECQA its columns, while its folder is a guess). The rows are made up.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parquetWriteBuffer } from "hyparquet-writer";
import { loadDataset } from "../../lib/data/load_dataset.ts";
import type { Problem } from "../../lib/data/records.ts";
import { withHub } from "./_hub_server.ts";

/** A Parquet file of one row; lists are nested columns there, JSON ones here. */
function parquet(row: Record<string, unknown>): Uint8Array {
  const columnData = Object.entries(row).map(([name, value]) => ({
    name,
    data: [value],
    type: Array.isArray(value)
      ? "JSON" as const
      : typeof value === "bigint"
      ? "INT64" as const
      : "STRING" as const,
  }));
  return new Uint8Array(parquetWriteBuffer({ columnData }));
}

const shard = (split: string) => `${split}-00000-of-00001.parquet`;
const aqua = { question: "Q?", options: ["A)1", "B)2"], rationale: "So.\nAnswer B", correct: "B" };
const mmlu = { question: "Q?", subject: "anatomy", choices: ["a", "b", "c", "d"], answer: 2n };
const svamp = {
  ID: "chal-777",
  Body: "There are 8 apples",
  Question: "How many are left?",
  Equation: "( 8.0 - 5.0 )",
  Answer: "3",
  Type: "Subtraction",
  question_concat: "There are 8 apples. How many are left?",
};
const ecqa = {
  q_no: "1f4",
  q_concept: "park",
  q_text: "Q?",
  q_op1: "a",
  q_op2: "b",
  q_op3: "c",
  q_op4: "d",
  q_op5: "e",
  q_ans: "d",
  taskA_pos: "p",
  taskA_neg: "n",
  taskB: "Because.",
};

const cases: readonly {
  readonly spec: string;
  readonly repo: string;
  readonly files: Record<string, Uint8Array>;
  readonly asked: string;
  readonly problem: Partial<Problem>;
}[] = [
  {
    spec: "gsm8k:test",
    repo: "openai/gsm8k",
    files: {
      [`main/${shard("train")}`]: parquet({ question: "?", answer: "#### 0" }),
      [`main/${shard("test")}`]: parquet({ question: "Q?", answer: "1 + 1 = <<1+1=2>>2\n#### 2" }),
      [`socratic/${shard("test")}`]: parquet({ question: "?", answer: "#### 0" }),
    },
    asked: `main/${shard("test")}`,
    problem: { question: "Q?", answer: "2", reference: "1 + 1 = <<1+1=2>>2\n#### 2" },
  },
  {
    spec: "aqua:validation",
    repo: "deepmind/aqua_rat",
    files: {
      [`raw/${shard("train")}`]: parquet({ ...aqua, question: "?" }),
      [`raw/${shard("validation")}`]: parquet(aqua),
      [`tokenized/${shard("validation")}`]: parquet({ ...aqua, question: "?" }),
    },
    asked: `raw/${shard("validation")}`,
    problem: { question: "Q?", choices: ["1", "2"], answer: "B", reference: "So.\nThe answer is B." },
  },
  {
    spec: "mmlu:dev",
    repo: "cais/mmlu",
    files: {
      "data.tar": new Uint8Array(8),
      [`all/${shard("auxiliary_train")}`]: parquet({ ...mmlu, question: "?" }),
      [`all/${shard("dev")}`]: parquet(mmlu),
      [`all/${shard("test")}`]: parquet({ ...mmlu, question: "?" }),
      [`anatomy/${shard("dev")}`]: parquet({ ...mmlu, question: "?" }),
    },
    asked: `all/${shard("dev")}`,
    problem: { question: "Q?", choices: mmlu.choices, answer: "C" },
  },
  // Some revisions have JSON files beside the README, later ones Parquet in a folder.
  ...[
    {
      [`data/${shard("train")}`]: parquet({ ...svamp, Body: "?" }),
      [`data/${shard("test")}`]: parquet(svamp),
    },
    {
      "train.json": new TextEncoder().encode(JSON.stringify([{ ...svamp, Body: "?" }])),
      "test.json": new TextEncoder().encode(JSON.stringify([svamp])),
    },
  ].map((files) => ({
    spec: "svamp",
    repo: "ChilleD/SVAMP",
    files,
    asked: Object.keys(files)[1],
    problem: { id: "svamp-chal-777", question: "There are 8 apples. How many are left?", answer: "3" },
  })),
  {
    spec: "ecqa:test",
    repo: "tasksource/ecqa",
    files: Object.fromEntries(
      ["train", "validation", "test"].map((split) => [
        `data/${shard(split)}`,
        parquet(split === "test" ? ecqa : { ...ecqa, q_text: "?" }),
      ]),
    ),
    asked: `data/${shard("test")}`,
    problem: {
      id: "ecqa-1f4",
      question: "Q?",
      choices: ["a", "b", "c", "d", "e"],
      answer: "D",
      reference: "Because.\nThe answer is D.",
    },
  },
];

for (const { spec, repo, files, asked, problem } of cases) {
  test(`${spec} from ${repo}: ${asked}`, async () => {
    await withHub({ files: { "README.md": new Uint8Array(3), ...files } }, async (server, hub) => {
      const split = spec === "svamp" ? "test" : undefined; // as `evaluate` asks for it
      const [first, ...rest] = await Array.fromAsync(loadDataset(spec, { split, hub }));
      assert.deepEqual(rest, []);
      assert.deepEqual({ ...first, ...problem }, first);
      const paths = server.requests.filter((request) => request.includes("/resolve/")).map(
        decodeURIComponent,
      );
      assert.ok(paths.length > 0 && paths.every((path) => path.endsWith(`/${asked}`)), paths.join("\n"));
      assert.ok(paths.every((path) => path.includes(`/datasets/${repo}/`)), paths.join("\n"));
    });
  });
}

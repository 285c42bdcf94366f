/** `generate --generate-from`: candidates from a server, as a user has them. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { test } from "node:test";
import { at, base, records, run, write } from "../_commands.ts";
import { loadTokenizer } from "../../lib/tokenizer/tokenizer.ts";
import { completion, withServer } from "../model/_completion_server.ts";

const problems = Array.from(
  { length: 5 },
  (_, i) => ({ id: `q${i}`, question: `Question ${i}?`, answer: `${i}` }),
);
const input = write("problems.jsonl", problems);
const numberIn = (prompt: string) => Number(prompt.match(/Question (\d)\?/)![1]);

/** The same text for the same seed, as a server with that seed gives. */
const answer = ({ body }: { readonly body: { prompt: string; seed: number } }) =>
  completion(
    ` ${numberIn(body.prompt)} of ${body.seed}\n#### ${body.seed % 2 ? numberIn(body.prompt) : "9"}`,
  );
const asked = (url: string, ...more: string[]) => [
  ...["--generate-from", url, "--served-model", "smol", "--chat", "never", "-k", "2", "--input", input],
  ...more,
];

test("groups in order, log-probs by score; a run that failed goes on and gives the same bytes", async () => {
  let broken = false, expected = "";
  await withServer(
    (one) => broken && numberIn(one.body.prompt) === 3 ? { status: 500 } : answer(one),
    async ({ url, asked: requests }) => {
      const whole = await run("generate", asked(url));
      assert.equal(whole.code, 0, whole.err);
      assert.match(whole.err, /^Server: 10 requests, 200 prompt and 70 completion tokens$/m);
      expected = whole.out;
      const groups = records(expected);
      assert.deepEqual(groups.map(({ id }) => id), problems.map(({ id }) => id));
      for (const { candidates } of groups) {
        assert.deepEqual(
          candidates.map((one: object) => Object.keys(one)),
          Array(2).fill(["text", "finish", "tokens"]),
        );
      }
      assert.equal(new Set(requests.map(({ body }) => body.seed)).size, 10);

      broken = true;
      requests.length = 0;
      const path = at("served.jsonl");
      const failed = await run(
        "generate",
        asked(url, "--output", path, "--served-retries", "0", "--served-requests", "2"),
      );
      assert.equal(failed.code, 1);
      assert.match(
        failed.err,
        /^generate: Cannot reach the server at \S+\/v1\/completions: HTTP 500, in 1 try$/m,
      );
      assert.match(
        failed.err,
        /^generate: Kept the 3 lines written so far in \S+; --resume goes on with them$/m,
      );
      broken = false;
      requests.length = 0;
      const resumed = await run("generate", asked(url, "--output", path, "--resume"));
      assert.equal(resumed.code, 0, resumed.err);
      assert.equal(requests.length, 4); // of the two that were left
      assert.equal(readFileSync(path, "utf8"), expected);

      // In shards, of which another server has the second.
      const shards = [1, 2].map((part) => at(`served.${part}.jsonl`));
      for (const [i, path] of shards.entries()) {
        const one = await run("generate", asked(url, "--shard", `${i + 1}/2`, "--output", path));
        assert.equal(one.code, 0, one.err);
      }
      assert.equal((await run("merge-shards", shards)).out, expected);
    },
  );
  const scored = await run("score", [
    "--model",
    base,
    "--backend",
    "wasm",
    "--quiet",
    "--input",
    write("g.jsonl", expected),
  ]);
  assert.equal(scored.code, 0, scored.err);
  for (const { candidates } of records(scored.out)) {
    for (const { logprob, score, tokens } of candidates) assert.equal(score, logprob / tokens);
  }
});

test("chat completions get messages, and the key of the variable alone", async () => {
  await withServer(() => completion("Text\n#### 1"), async ({ url, asked: requests }) => {
    const args = [
      "--generate-from",
      url,
      "--served-model",
      "m",
      "--chat",
      "always",
      "-k",
      "1",
      "--limit",
      "1",
    ];
    const env = { MY_KEY: "sk-mine", OPENAI_API_KEY: "sk-other" };
    const more = ["--system", "Be brief.", "--served-key-env", "MY_KEY", "--input", input];
    const done = await run("generate", [...args, ...more], { env });
    assert.equal(done.code, 0, done.err);
    assert.deepEqual(records(done.out)[0].candidates, [{ text: "Text\n#### 1", finish: "stop", tokens: 7 }]);
    assert.equal(requests[0]!.path, "/v1/chat/completions");
    assert.equal(requests[0]!.headers.authorization, "Bearer sk-mine");
    assert.deepEqual(requests[0]!.body.messages, [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Question 0?" },
    ]);
    assert.doesNotMatch(done.out + done.err, /sk-mine/);
  });
});

test("with --served-tokenizer prompts are sent as ids, those of --model", async () => {
  await withServer(() => completion(" 5\n#### 5"), async ({ url, asked: requests }) => {
    const served = ["--generate-from", url, "--served-model", "m", "--served-tokenizer", base];
    const done = await run("generate", [...served, "-k", "1", "--input", input]);
    assert.equal(done.code, 0, done.err);
    using tokenizer = await loadTokenizer(base);
    const ids = requests[0]!.body.prompt;
    assert.match(tokenizer.decode(ids), /^Question: Question \d\?\nAnswer:$/);
    assert.deepEqual(ids, tokenizer.encodePrompt(tokenizer.decode(ids)));
    assert.equal(records(done.out)[0].candidates[0].text, "5\n#### 5");
    const lost = await run("generate", [...served.slice(0, -1), at("nowhere"), "--input", input]);
    assert.equal(lost.code, 1);
    assert.match(lost.err, /^generate: [^\n]*nowhere[^\n]*\n$/);
  });
});

test("options that do not go together are refused before anything is asked", async () => {
  await withServer(answer, async ({ url, asked: requests }) => {
    const from = ["--generate-from", url], never = ["--chat", "never"], model = ["--served-model", "m"];
    const cases: [args: string[], line: string][] = [
      [[], "Missing option --model DIR|NAME or --generate-from URL: see --help"],
      [["--model", base, ...model], "Option --served-model has no meaning without --generate-from"],
      [[...from, ...never], "Option --generate-from needs --served-model"],
      [
        [...from, ...model],
        "Option --generate-from needs --chat always (the server's chat template), --chat never (plain prompts) or " +
        "--served-tokenizer",
      ],
      [[...from, ...model, ...never, "--model", base], "Option --model has no meaning with --generate-from"],
      [
        ["--model", base, "--served-tokenizer", base],
        "Option --served-tokenizer has no meaning without --generate-from",
      ],
      [
        [...from, ...model, ...never, "--token-ids"],
        "Option --token-ids has no meaning with --generate-from",
      ],
      [
        [...from, ...model, ...never, "--served-key-env", "NO_KEY"],
        "Environment variable NO_KEY must hold the server's key: it is not set",
      ],
      [
        ["--generate-from", "localhost:8000", ...model, ...never],
        'Address of the server must be an http or https URL: got "localhost:8000"',
      ],
    ];
    const out = at("refused.jsonl");
    for (const [args, line] of cases) {
      const refused = await run("generate", [...args, "--input", input, "--output", out]);
      assert.deepEqual([refused.code, refused.out, refused.err], [2, "", `generate: ${line}\n`]);
      assert.ok(!existsSync(out));
      rmSync(`${out}.partial`, { force: true });
    }
    assert.equal(requests.length, 0);
    const dry = await run("generate", [...from, ...model, ...never, "--dry-run"]);
    assert.equal(JSON.parse(dry.out).options["served-model"], "m");
    assert.equal((await run("generate", ["--dry-run"])).code, 2);
  });
});

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { UsageError } from "../../lib/runtime/errors.ts";
import { choice, integer, number, preset, refusal, required } from "../../tasks/cli/option.ts";
import { asSaid } from "../_commands.ts";
import { resolve } from "../../tasks/cli/command_line.ts";
import { common, pick, shared } from "../../tasks/cli/shared_options.ts";

const task = fileURLToPath(new URL("./_echo_task.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "cli-test-"));
after(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

interface Result {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

interface ChildOptions {
  /** What to write to its standard input before closing it; null leaves it open. */
  readonly input?: string | null;
  /** Called with what came out so far, whenever more comes. */
  readonly onOutput?: (child: ReturnType<typeof spawn>, out: string) => void;
  readonly env?: Readonly<Record<string, string>>;
}

/** Sends a signal. Under Deno, after `child.kill` the exit code would be null whatever the child makes of it. */
function send(signal: "SIGINT" | "SIGTERM") {
  return (child: ReturnType<typeof spawn>) => void process.kill(child.pid!, signal);
}

/** Runs the echo task as a user would, with the runtime that runs this test. */
function echo(args: readonly string[], options: ChildOptions = {}): Promise<Result> {
  const { input = "", onOutput, env } = options;
  const leading = "Deno" in globalThis ? ["run", "-A"] : [];
  const child = spawn(process.execPath, [...leading, task, ...args], {
    env: { ...process.env, ...env },
    timeout: 30_000,
    killSignal: "SIGKILL",
  });
  let out = "", err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
    onOutput?.(child, out);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => err += text);
  child.stdin.on("error", () => {});
  if (input !== null) child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      child.stdin.destroy();
      resolve({ code, out, err });
    });
  });
}

async function refused(args: readonly string[], message: string): Promise<void> {
  assert.deepEqual(await echo(args), { code: 2, out: "", err: `echo: ${message}\n` });
}

test("stdin to stdout, notes to stderr", async () => {
  const result = await echo(["-k", "2", "--prefix", "* "], { input: "one\ntwo\n" });
  assert.deepEqual(result, { code: 0, out: "* one\n* one\n* two\n* two\n", err: "from standard input\n" });
  assert.equal((await echo(["--quiet"], { input: "one\n" })).err, "");
});

test("an unknown option is refused, with a suggestion when one is near", async () => {
  await refused(["--temprature", "3"], "Unknown option --temprature: did you mean --temperature?");
  await refused(["--max-toknes=3"], "Unknown option --max-toknes: did you mean --max-tokens?");
  await refused(["--temp", "3"], "Unknown option --temp: did you mean --temperature?");
  await refused(["--qwertyuiop"], "Unknown option --qwertyuiop");
  await refused(["word"], 'Unexpected argument "word": expected options only');
  await refused(["--prefix", "a", "--prefix", "b"], "Option --prefix can be given only once");
});

test("a wrong or missing value is refused with what was expected", async () => {
  await refused(["-k", "0"], 'Option --samples must be a positive integer: got "0"');
  await refused(["--top-p=1.5"], 'Option --top-p must be a number above 0 and at most 1: got "1.5"');
  await refused(["--temperature", "-1"], 'Option --temperature must be a number of at least 0: got "-1"');
  await refused(
    ["--backend", "webgp"],
    'Option --backend must be auto, webgpu or wasm: got "webgp", did you mean webgpu?',
  );
  await refused(["--max-tokens"], "Option --max-tokens needs a value: a positive integer");
  await refused(["--input", at("none")], `Cannot read ${at("none")}: no such file or directory`);
});

test("--help fits 80 columns, shows defaults and examples, and has no colour", async () => {
  const { code, out, err } = await echo(["--help"], { env: { COLUMNS: "80" } });
  assert.equal(code, 0);
  assert.equal(err, "");
  for (const line of out.split("\n")) {
    assert.ok(line.length <= 80, line);
    assert.equal(line, line.trimEnd());
  }
  assert.ok(!out.includes("\x1b"));
  assert.ok(out.startsWith(asSaid("Repeats its input\n\nUsage: deno task echo [OPTION...]\n")));
  assert.match(out, /-k, --samples N +Times to write each line \(default: 1\)/);
  assert.match(out, /--backend auto\|webgpu\|wasm/);
  assert.match(out, new RegExp(asSaid("Write every line twice:\n +echo hello \\| deno task echo -k 2\n")));
});

test("--version and --completion", async () => {
  const { out } = await echo(["--version"]);
  assert.match(out, /^@aft\/alignment-fine-tuning \d+\.\d+\.\d+ \((deno|bun|node) [\d.]+\)\n$/);
  const script = await echo(["--completion", "bash"]);
  assert.equal(script.code, 0);
  assert.match(script.out, /complete .*echo/);
  assert.match((await echo(["--completion", "bash", "--backend", "w"])).out, /webgpu[^]*wasm/);
});

test("flags come before the file, the file before the defaults", async () => {
  writeFileSync(at("config.json"), JSON.stringify({ samples: 3, prefix: "file ", endless: true }));
  const { code, out, err } = await echo(
    ["--config", at("config.json"), "-k", "2", "--no-endless", "--dry-run"],
  );
  assert.equal(err, "");
  assert.equal(code, 0);
  const { task, options, lines } = JSON.parse(out);
  assert.equal(task, "echo");
  assert.equal(lines, 4); // what the task adds
  assert.deepEqual(options, {
    input: "-",
    output: "-",
    temperature: 1, // default
    "top-p": 1,
    "max-tokens": 256,
    backend: "auto",
    limit: null,
    overwrite: false,
    samples: 2, // flag
    prefix: "file ", // file
    greet: false,
    fail: null,
    endless: false, // flag
    wait: false,
    quiet: false,
    debug: false,
    profile: false,
  });
});

test("what --dry-run printed is a configuration", async () => {
  const first = await echo(["--dry-run", "-k", "3", "--temperature", "0.5"]);
  writeFileSync(at("again.json"), first.out);
  const second = await echo(["--config", at("again.json"), "--dry-run"]);
  assert.equal(second.out, first.out);
  assert.equal(JSON.parse(second.out).options.temperature, 0.5);
});

test("a wrong configuration file is refused", async () => {
  const path = at("wrong.json");
  const refusedFile = async (content: string, message: string) => {
    writeFileSync(path, content);
    await refused(["--config", path], `Cannot read ${path}: ${message}`);
  };
  await refusedFile('{"sampels": 2}', 'unknown key "sampels": did you mean samples?');
  await refusedFile('{"dry-run": true}', 'unknown key "dry-run"');
  await refusedFile('{"samples": "2"}', '"samples" must be a positive integer: got "2"');
  await refusedFile('{"top-p": 2}', '"top-p" must be a number above 0 and at most 1: got 2');
  await refusedFile('{"quiet": 1}', '"quiet" must be true or false: got 1');
  await refusedFile("[1]", "expected option names and their values, or a section a task");
  await refused(["--config", at("none")], `Cannot read ${at("none")}: no such file or directory`);
  writeFileSync(path, "{");
  const { code, err } = await echo(["--config", path]);
  assert.equal(code, 2);
  assert.match(err, /^echo: Cannot read \S+wrong\.json: expected JSON: [^\n]+\n$/);
});

test("an error is one line; a defect shows its stack with --debug only", async () => {
  const expected = await echo(["--fail", "input"]);
  assert.deepEqual(expected, {
    code: 1,
    out: "",
    err: "echo: Cannot read record 3 of x.jsonl: expected an object\n",
  });
  for (const [how, message] of [["defect", "Broken"], ["stray", "Out of nowhere"]]) {
    const { code, err } = await echo(["--fail", how]);
    assert.deepEqual({ code, err }, { code: 1, err: `echo: ${message} (run with --debug for the stack)\n` });
  }
  const { code, err } = await echo(["--fail", "defect", "--debug"]);
  assert.equal(code, 1);
  assert.match(err, /^echo: Broken\nTypeError: Broken\n +at .*echo_task\.ts/);
});

test("a reader that goes away ends the task quietly", async () => {
  const { code, out, err } = await echo(["--endless", "--quiet"], {
    onOutput: (child) => child.stdout?.destroy(),
  });
  assert.deepEqual({ code, err }, { code: 0, err: "" });
  assert.ok(out.startsWith('{"i":0,'));
});

test("SIGINT and SIGTERM end the task with 130, waiting or reading", async () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    const { code, out, err } = await echo(["--wait", "--quiet"], {
      input: null,
      onOutput: send(signal),
    });
    assert.deepEqual({ code, out, err }, { code: 130, out: "waiting\n", err: "echo: Interrupted\n" });
  }
  const reading = await echo(["--quiet", "--greet"], {
    input: null,
    onOutput: send("SIGINT"),
  });
  assert.deepEqual(reading, { code: 130, out: "hello\n", err: "echo: Interrupted\n" });
});

test("--input and --output name files; a file is there when it is whole", async () => {
  writeFileSync(at("in.txt"), "a\nb\n");
  const args = ["--input", at("in.txt"), "--output", at("out.txt"), "--prefix", "-"];
  const first = await echo(args);
  assert.deepEqual(first, { code: 0, out: "", err: `from ${at("in.txt")}\n` });
  assert.equal(readFileSync(at("out.txt"), "utf8"), "-a\n-b\n");

  await refused(args, `Cannot write ${at("out.txt")}: it already exists: use --overwrite to replace it`);

  const late = await echo([...args, "--overwrite", "-k", "2", "--fail", "late", "--quiet"]);
  assert.deepEqual(late, {
    code: 1,
    out: "",
    err: `echo: Kept the 4 lines written so far in ${at("out.txt.partial")}\necho: Cannot go on\n`,
  });
  assert.equal(readFileSync(at("out.txt"), "utf8"), "-a\n-b\n");
  assert.equal(readFileSync(at("out.txt.partial"), "utf8"), "-a\n-a\n-b\n-b\n");

  assert.equal((await echo([...args, "--overwrite", "-k", "2"])).code, 0);
  assert.equal(readFileSync(at("out.txt"), "utf8"), "-a\n-a\n-b\n-b\n");
  assert.equal(existsSync(at("out.txt.partial")), false);

  assert.equal((await echo([...args, "--output", at("dry.txt"), "--dry-run"])).code, 2); // given twice
  assert.equal((await echo(["--input", at("in.txt"), "--output", at("dry.txt"), "--dry-run"])).code, 0);
  assert.deepEqual(readdirSync(folder).filter((name) => name.startsWith("dry")), []);
});

test("a large output arrives whole at a slow reader", async () => {
  const line = "x".repeat(1000);
  const input = `${line}\n`.repeat(500);
  const { code, out } = await echo(["--prefix", "-", "-k", "4"], { input });
  assert.equal(code, 0);
  assert.equal(out.length, 500 * 4 * 1002);
});

test("shared options are named in the code as on the command line, and their defaults are valid", () => {
  for (const [name, option] of Object.entries({ ...shared, ...common })) {
    assert.equal(name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`), option.flag.slice(2));
    if (option.initial !== undefined) assert.notEqual(option.read(String(option.initial)), undefined, name);
  }
  assert.deepEqual(Object.keys(pick("model", "topK")), ["model", "topK"]);
});

test("a required option may come from the file, but must come", () => {
  const options = { model: required(shared.model), out: required(shared.out), limit: shared.limit };
  const { model, out, limit } = resolve(options, { model: "flag" }, { model: "file", out: "file" });
  const typed: readonly [string, string, number | undefined] = [model, out, limit];
  assert.deepEqual(typed, ["flag", "file", undefined]);
  assert.throws(() => resolve(options, { limit: 3 }), (error: Error) => {
    assert.ok(error instanceof UsageError);
    assert.equal(error.message, "Missing option --model DIR|NAME and --out DIR: see --help");
    return true;
  });
});

test("numbers are read strictly and within their bounds", () => {
  const rate = number("--rate", { help: "", above: 0 });
  assert.equal(rate.read("2e-5"), 2e-5);
  assert.equal(rate.read(".5"), 0.5);
  for (const wrong of ["", " 1", "0", "1e999", "NaN", "Infinity", "0x10", "1_000", "1,5"]) {
    assert.equal(rate.read(wrong), undefined, wrong);
  }
  const seed = integer("--seed", { help: "", min: 0, max: 10 });
  assert.equal(seed.read("0"), 0);
  assert.equal(seed.read("10"), 10);
  for (const wrong of ["11", "-1", "1.5", "1e1", ""]) assert.equal(seed.read(wrong), undefined, wrong);
  assert.equal(refusal(seed, 11), "must be an integer from 0 to 10: got 11");
  assert.throws(() => preset(rate, 0), /Default of --rate must be a number above 0: got 0/);
  const constraint = choice("--constraint", { help: "", choices: ["none", "dc", "bc"] });
  assert.equal(constraint.metavar, "none|dc|bc");
  assert.equal(constraint.read("dc"), "dc");
  assert.equal(constraint.read("DC"), undefined);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { Tokenizer } from "@huggingface/tokenizers";
import { arithmeticCorpus, arithmeticSolutions } from "../../lib/data/embedded/arithmetic.ts";
import { buildTokenizer, type BuiltTokenizer } from "../../lib/tokenizer/tokenizer_builder.ts";

function load({ tokenizer, config }: BuiltTokenizer) {
  // Through JSON, as a model directory keeps it.
  const loaded = new Tokenizer(JSON.parse(JSON.stringify(tokenizer)), JSON.parse(JSON.stringify(config)));
  const ids = (text: string) => loaded.encode(text, { add_special_tokens: false }).ids;
  return { loaded, ids, pieces: (text: string) => ids(text).map((id) => loaded.decode([id])) };
}

const model = (built: BuiltTokenizer) =>
  built.tokenizer.model as { vocab: Record<string, number>; merges: [string, string][] };

const built = buildTokenizer(
  [
    ...arithmeticCorpus({ count: 8_000 }),
    ...[...arithmeticSolutions({ count: 500 })].map(({ problem }) => ` ${problem.reference}`),
  ],
  { vocabularySize: 512 },
);
const { loaded, ids, pieces } = load(built);

test("each slot goes to what saves most: a worked example", () => {
  // Words: "ab" ×3 (saves 3), " ab" ×2 (as a word 4; its pairs: "ab" 5, "Ġa" 2), " cde" ×4 (as a word 12; pairs 4).
  const corpus = ["ab", "ab", "ab", "x ab", "x ab", "x cde", "x cde", "x cde", "x cde"];
  const { vocab, merges } = model(buildTokenizer(corpus, { vocabularySize: 262 }));
  assert.deepEqual(Object.entries(vocab).slice(260), [["Ġcde", 260], ["ab", 261]]);
  assert.deepEqual(merges, [["a", "b"]]);
  // One more: " ab" is now two pieces, and a merge ties with the word; nothing is left to save then.
  const full = model(buildTokenizer(corpus, { vocabularySize: 300 }));
  assert.deepEqual(Object.keys(full.vocab).slice(260), ["Ġcde", "ab", "Ġab"]);
  assert.deepEqual(full.merges, [["a", "b"], ["Ġ", "ab"]]);
});

test("the same texts give the same bytes; ids are the places of special tokens, bytes and pieces", () => {
  const corpus = [...arithmeticCorpus({ count: 300 })];
  const text = () => JSON.stringify(buildTokenizer(corpus, { vocabularySize: 400 }));
  assert.equal(text(), text());
  const { vocab } = model(built);
  const tokens = Object.keys(vocab).toSorted((a, b) => vocab[a] - vocab[b]);
  assert.deepEqual(tokens.map((token) => vocab[token]), tokens.map((_, i) => i));
  assert.deepEqual(tokens.slice(0, 4), ["<unk>", "<s>", "</s>", "<pad>"]);
  assert.equal(tokens[4 + 65], "A");
  assert.equal(tokens[4 + 32], "Ġ");
  assert.equal(Object.keys(model(buildTokenizer(corpus, { vocabularySize: 400 })).vocab).length, 400);
  assert.ok(Object.keys(vocab).length <= 512);
});

test("every word of the arithmetic set is one token, digits stand alone, and texts are short", () => {
  const lengths: number[] = [];
  for (const { problem, chains } of arithmeticSolutions({ split: "test" })) {
    const question = ` ${problem.question}`; // as after "Question:"
    const expected = question.match(/ ?[A-Za-z]+| ?\d| ?[^\s\w]/g);
    assert.deepEqual(pieces(question), expected);
    assert.ok(ids(question).length <= 42, question);
    for (const { text } of chains) {
      assert.deepEqual(pieces(` ${text}`), ` ${text}`.match(/ ?[A-Za-z]+| ?\d| ?[^\s\w]+|\n/g));
      lengths.push(ids(` ${text}`).length);
    }
  }
  assert.ok(Math.max(...lengths) <= 50);
  assert.ok(lengths.reduce((a, b) => a + b) / lengths.length < 34);
});

test("a hand-checked sentence", () => {
  assert.deepEqual(pieces(" 12 + 30 = 42 pens.\n#### 42"), [
    " 1",
    "2",
    " +",
    " 3",
    "0",
    " =",
    " 4",
    "2",
    " pens",
    ".",
    "\n",
    "####",
    " 4",
    "2",
  ]);
});

test("any text round-trips", () => {
  const texts = [
    " ",
    "  two  blanks ",
    "tabs\tand\r\nlines\n\n\n",
    "don't can't I'll we've",
    "It costs $1,234.50 (about 10 % off) .  , ? !",
    "Grüße, señor — naïve café",
    "日本語のテキスト。漢字かな",
    "Привет, мир! مرحبا بالعالم שלום",
    "emoji 👩‍👩‍👧‍👦 🇩🇪 👍🏽",
    "a\u0301 combining, \u200bzero width, \u00a0no-break, \u3000wide",
    "\u0000\u0001\u007f control",
    "①②③ ½ Ⅷ ٣٤",
    "x".repeat(500),
    "Ġ Ċ Ā printable stand-ins",
  ];
  for (const text of texts) {
    assert.equal(loaded.decode(ids(text)), text);
    assert.ok(ids(text).every((id) => Number.isInteger(id) && id >= 4 && id < 512));
  }
  for (let code = 0; code < 0x110000; code += 37) {
    if (code >= 0xd800 && code < 0xe000) continue; // no characters
    const text = `a${String.fromCodePoint(code)} b`;
    assert.equal(loaded.decode(ids(text)), text, `U+${code.toString(16)}`);
  }
});

test("the start token comes first when special tokens are asked for, and never otherwise", () => {
  const text = "Tom has 3 pens.";
  assert.deepEqual(loaded.encode(text).ids, [1, ...ids(text)]);
  assert.ok(!ids(text).includes(1));
  assert.equal(loaded.decode([1, ...ids(text), 2], { skip_special_tokens: true }), text);
  assert.equal(loaded.decode([2]), "</s>");
  assert.equal(built.config.eos_token, "</s>");
  assert.equal(built.config.clean_up_tokenization_spaces, false);
});

test("a repeated letter is counted as it merges", () => {
  // "aaaa": the pair overlaps itself; two merges make "aa aa", and one more the word.
  const { vocab, merges } = model(buildTokenizer(["aaaa aaaaaaaa"], { vocabularySize: 264 }));
  const { loaded } = load(buildTokenizer(["aaaa aaaaaaaa"], { vocabularySize: 264 }));
  assert.equal(loaded.decode(loaded.encode("aaaaaaa aaa", { add_special_tokens: false }).ids), "aaaaaaa aaa");
  assert.equal(new Set(Object.values(vocab)).size, Object.keys(vocab).length);
  for (const [left, right] of merges) assert.ok(left in vocab && right in vocab && left + right in vocab);
});

test("a vocabulary too small for the bytes is refused", () => {
  assert.throws(
    () => buildTokenizer(["a"], { vocabularySize: 259 }),
    /Vocabulary size must be an integer of at least 260 \(4 special tokens and 256 bytes\): got 259/,
  );
  assert.throws(() => buildTokenizer(["a"], { vocabularySize: 300.5 }), /got 300.5/);
  assert.equal(Object.keys(model(buildTokenizer([], { vocabularySize: 300 })).vocab).length, 260);
});

"""Small tokenizers of the kinds that models have, and what Hugging Face's tokenizers makes of texts with them.

    python3 tools/golden/token_ids.py fixtures/base test/golden/tokenizers.json

The trainer breaks some ties by chance: made again, the vocabularies of SentencePiece's kind are others.
"""
import json
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "Tom has 12 apples and buys 30 more apples. How many apples does he have?",
    "Each of the 5 boxes holds 24 pens, so there are 5 * 24 = 120 pens. #### 120",
    "She doesn't know; they're late. It's 3.50 dollars, or 1,800 cents!",
    "naïve café — “quotes” 日本語のテキスト 🙂 Привет мир",
    "def f(x):\n    return x + 1\n\n\tprint(f(2))",
] * 8

TEXTS = CORPUS[:5] + [
    "", " ", "  ", "\n", " leading and trailing  ", "a", "Apples", "APPLES apples", "12345 1,234.5 -7", "it's IT'S",
    "tabs\tand\r\nlines\n\n\n", "a <s> </s> <pad>", "<|im_start|>user\nHi<|im_end|>\n", "👩‍👩‍👧 é é", "ﬁne ½ ² Ⅷ", "١٢٣ １２３", "zzz qqq xyz", "a\u00a0b\u2009c\u200bd",
]

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def byte_level(pattern=None, *, prefix_space=False, digits=False, nfc=False, ignore_merges=False, begin="<s>", size=420):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if nfc:
        tokenizer.normalizer = normalizers.NFC()
    steps = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    if pattern:
        steps.append(pre_tokenizers.Split(Regex(pattern), "isolated"))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=prefix_space, use_regex=pattern is None))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), special_tokens=["<pad>", "<s>", "</s>"], show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken("<|im_start|>", special=True), AddedToken("<|im_end|>", special=True)])
    if begin:
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{begin} $A", pair=f"{begin} $A {begin} $B", special_tokens=[(begin, tokenizer.token_to_id(begin))])
    else:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def sentence_piece(*, legacy=True, end=False):
    """As Llama 2's: blanks are ▁, bytes for what is not known; the newer form marks the beginning of a text alone."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    if legacy:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        tokenizer.pre_tokenizer = None
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=["<unk>", "<s>", "</s>", *[f"<0x{b:02X}>" for b in range(256)]], show_progress=False, limit_alphabet=60, max_token_length=8)
    tokenizer.train_from_iterator(CORPUS, trainer)
    template = "<s> $A </s>" if end else "<s> $A"
    tokenizer.post_processor = processors.TemplateProcessing(single=template, pair="<s> $A <s> $B", special_tokens=[("<s>", 1), ("</s>", 2)])
    # Bytes are ordinary tokens, the three signs special ones.
    whole = json.loads(tokenizer.to_str())
    whole["added_tokens"] = [one for one in whole["added_tokens"] if one["id"] < 3]
    return Tokenizer.from_str(json.dumps(whole))


def lstrip():
    """Added tokens that take the blanks around them, and one that is not special."""
    tokenizer = byte_level(QWEN, begin=None)
    tokenizer.add_tokens([AddedToken("<think>", special=False), AddedToken("[MASK]", lstrip=True, rstrip=True, special=False), AddedToken("pen", special=False)])
    return tokenizer


def main(base: str, out: str) -> None:
    made = {
        "gpt2": byte_level(begin=None),
        "gpt2-prefix-space": byte_level(prefix_space=True, begin=None),
        "llama3": byte_level(LLAMA3, ignore_merges=True),
        "qwen": byte_level(QWEN, nfc=True, begin=None),
        "smollm": byte_level(digits=True, begin=None),
        "llama2": sentence_piece(),
        "llama2-new": sentence_piece(legacy=False),
        "llama2-end": sentence_piece(end=True),
        "added": lstrip(),
        "base": Tokenizer.from_file(f"{base}/tokenizer.json"),
    }
    more = {"added": ["a <think>b</think> c", "the [MASK]  fox", "pen pens open pen.", " <think> "]}
    cases = {}
    for name, tokenizer in made.items():
        rows, [one], sample = [], tokenizer.encode("a", add_special_tokens=False).ids[-1:], tokenizer.encode("a").ids
        inside = len(tokenizer.encode("a", add_special_tokens=False).ids)
        at = sample.index(one) + 1
        for text in TEXTS + more.get(name, []):
            plain, special = tokenizer.encode(text, add_special_tokens=False).ids, tokenizer.encode(text).ids
            around = [sample[:at - inside], sample[at:]]
            assert special == around[0] + plain + around[1], (name, text)
            rows.append([text, plain, around, tokenizer.decode(plain, skip_special_tokens=False), tokenizer.decode(special)])
        cases[name] = {"tokenizer": None if name == "base" else json.loads(tokenizer.to_str()), "texts": rows}
    with open(out, "w", encoding="utf-8") as file:
        json.dump(cases, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


main(*sys.argv[1:3])

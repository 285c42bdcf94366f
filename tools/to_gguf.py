"""Converts a model whose tokenizer this project built (fixtures/base, and what is trained on it) for llama.cpp.

    python3 tools/to_gguf.py /usr/share/doc/llama.cpp-tools/scripts/convert_hf_to_gguf.py fixtures/base \
        --outfile base.gguf --outtype f32

llama.cpp's converter knows a tokenizer by a digest of the ids that it gives to a certain text, so that a vocabulary of
one's own is never known, whatever it does. This runs the converter as it is and tells it the one thing that it asks,
`tokenizer.ggml.pre`, the way texts are cut into pieces: "gpt-2", whose expression is the one here but for digits. Any
other tokenizer is left to the converter.

Ids mean the same there and texts of ids are the same. Texts are cut otherwise: here a word that is in the vocabulary is
one token without any merge (`ignore_merges`), which llama.cpp does only together with other expressions. So give it ids.
"""
import json
import runpy
import sys
from pathlib import Path

# What lib/tokenizer/tokenizer_builder.ts writes.
PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def is_ours(folder: Path) -> bool:
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    steps = (tokenizer.get("pre_tokenizer") or {}).get("pretokenizers", [])
    return [step["type"] for step in steps] == ["Split", "ByteLevel"] and steps[0]["pattern"] == {"Regex": PATTERN}


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit("Cannot convert: expected convert_hf_to_gguf.py, a model's folder and the converter's own options")
    converter = Path(sys.argv[1])
    sys.path[:0] = [str(converter.parent), "/usr/share/llama.cpp/llama.cpp-tools"]
    from conversion.base import TextModel

    known = TextModel.get_vocab_base_pre
    TextModel.get_vocab_base_pre = lambda self, tokenizer: (
        "gpt-2" if is_ours(Path(self.dir_model)) else known(self, tokenizer)
    )
    if is_ours(Path(sys.argv[2])):
        print("llama.cpp cuts texts otherwise than this tokenizer: give it ids, not texts", file=sys.stderr)
    sys.argv = sys.argv[1:]
    runpy.run_path(str(converter), run_name="__main__")


main()

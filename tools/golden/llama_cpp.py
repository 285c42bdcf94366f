"""What llama.cpp makes of the embedded base behind ids of texts: log-probs of the next token, greedy continuations.

    python3 tools/to_gguf.py CONVERTER fixtures/base --outfile base.gguf --outtype f32
    python3 tools/golden/llama_cpp.py base.gguf fixtures/base test/golden/llama_cpp.json

The ids are those of Hugging Face's tokenizers.
"""
import json
import subprocess
import sys
import time
import urllib.request

from tokenizers import Tokenizer

TEXTS = [
    "Tom has 125 apples, isn't it? 3.5  7\n\n 40",
    "Question: Ann has 12 pens. She buys 30 more. How many pens does she have?\nAnswer:",
    "naïve café — “quotes” 日本語 🙂 ½ ²³ ٣٤٥ １２",
    " leading  and trailing \t\r\n ",
    "<<48/2=24>>24 #### 72",
    "I've they're WE'LL he'd 'tis ''''s 1'000,000.00",
]
PORT = 8431


def ask(path: str, body: dict):
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def main(model: str, folder: str, out: str) -> None:
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    server = subprocess.Popen(
        ["llama-server", "-m", model, "--port", str(PORT), "-c", "256", "-t", "2", "-np", "1", "-fa", "off", "-ctk", "f32", "-ctv", "f32"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        cases = []
        for text in TEXTS:
            ids = tokenizer.encode(text).ids
            drawn = ask("/completion", {"prompt": ids, "n_predict": 16, "temperature": 0, "n_probs": 8, "cache_prompt": False, "return_tokens": True, "add_special": False})
            first = drawn["completion_probabilities"][0]["top_logprobs"]
            cases.append({
                "text": text,
                "ids": ids,
                "next": [[one["id"], round(one["logprob"], 5)] for one in first],
                "greedy": drawn["tokens"],
            })
        with open(out, "w", encoding="utf-8") as file:
            json.dump(cases, file, ensure_ascii=False)
            file.write("\n")
    finally:
        server.terminate()


main(*sys.argv[1:4])

/** A talk with a model: questions, answers as they come, and what was said before where the model chats. */

import type { PromptOptions } from "../data/prompts.ts";
import type { Candidate, Problem } from "../data/records.ts";
import type { Turn } from "../data/turn.ts";
import { score } from "../evaluate/score.ts";
import { encodePrompt } from "../model/encode.ts";
import { generate } from "../model/generate.ts";
import type { Model } from "../model/model.ts";
import type { Watched } from "../runtime/listener.ts";
import { turnOf } from "../tokenizer/chat_turn.ts";

/** How a model is asked. */
export interface AskOptions extends Watched {
  /** Answers to a question (default 1). */
  readonly samples?: number;
  /** Default 0 for one answer, the likeliest tokens; 1 for several. */
  readonly temperature?: number | undefined;
  /** Default 0: no limit. */
  readonly topK?: number;
  /** Default 1: no limit. */
  readonly topP?: number;
  /** Most tokens of an answer (default 256). */
  readonly maxTokens?: number;
  /** Source of random choices (default 0). */
  readonly seed?: number;
  /** How prompts are made. */
  readonly prompt?: PromptOptions;
  /** Told of the next piece of the one answer; the pieces joined are its text. */
  readonly heard?: (piece: string) => void;
}

/** Questions to a model, one after the other. */
export class Conversation {
  #earlier: Turn[] = [];

  /** A talk with nothing said yet. */
  constructor(readonly model: Model, readonly options: AskOptions = {}) {}

  /** Whether the model sees what was said before: it has a chat template, and no other template is asked for. */
  get remembers(): boolean {
    return turnOf(this.model.tokenizer, undefined, this.options.prompt) !== undefined;
  }

  /** Turns that the next question follows. */
  get earlier(): readonly Turn[] {
    return this.#earlier;
  }

  /** Forgets what was said. */
  forget(): void {
    this.#earlier = [];
  }

  /**
   * Asks a question. Several answers come with their scores, the likeliest first; the first is what a chat goes on from.
   * Turns that leave no room for an answer are forgotten, the oldest first.
   *
   * @throws {InputError} when the question alone fills the model's context
   */
  async ask(question: string): Promise<Candidate[]> {
    const { model, options } = this, { samples = 1, prompt = {}, listener, signal, heard } = options;
    const problem = this.#fitting({ id: "question", question });
    let said = "";
    const told = heard && samples === 1
      ? (text: string, last = false) => {
        // A character of several tokens is whole only when the last of them is there.
        const whole = last ? text : text.replace(/\ufffd+$/, "");
        if (!whole.startsWith(said) || whole.length === said.length) return;
        heard(whole.slice(said.length));
        said = whole;
      }
      : undefined;
    const answers = generate(model, [problem], {
      samples,
      temperature: options.temperature ?? (samples === 1 ? 0 : 1),
      topK: options.topK,
      topP: options.topP,
      maxTokens: options.maxTokens,
      seed: options.seed,
      block: model.device.name === "webgpu" ? 4 : 1,
      tooLong: "refuse",
      prompt,
      signal,
      listener: { ...listener, progress: undefined },
      heard: told && ((text) => told(text)),
    });
    const [group] = await Array.fromAsync(
      samples === 1 ? answers : score(model, answers, { prompt, signal }),
    );
    const candidates = group!.candidates.toSorted((a, b) => (b.score ?? 0) - (a.score ?? 0));
    const [first] = candidates;
    if (first) told?.(first.text, true);
    if (first && this.remembers) {
      this.#earlier.push({ role: "user", content: question }, { role: "assistant", content: first.text });
    }
    return candidates;
  }

  /** The question behind as many of the earlier turns as leave room for an answer. */
  #fitting(problem: Problem): Problem {
    const { model, options: { maxTokens = 256, prompt = {} } } = this, { maxPositions } = model.config;
    if (this.#earlier.length === 0) return problem;
    const wanted = Math.min(maxTokens, maxPositions >> 1);
    while (this.#earlier.length > 0) {
      const whole = { ...problem, earlier: [...this.#earlier] };
      if (encodePrompt(model, whole, prompt).length + wanted <= maxPositions) return whole;
      this.#earlier = this.#earlier.slice(2);
    }
    return problem;
  }
}

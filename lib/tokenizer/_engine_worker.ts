/** Tokenizers in a thread of their own: a stranger's regular expressions may try for ever. */

import { answerSyncRequests } from "../runtime/worker_requests.ts";
import { type Engine, type EngineRequest, libraryEngine } from "./_library_engine.ts";

let engines: readonly Engine[] = [];

answerSyncRequests((request: EngineRequest) => {
  if ("open" in request) {
    engines = request.open.map(libraryEngine);
    return undefined;
  }
  const engine = engines[request.engine]!;
  if ("probes" in request) {
    for (const probe of request.probes) {
      try {
        engine.encode(probe, false);
      } catch {
        // A text that no token stands for says nothing of its time.
      }
    }
    return undefined;
  }
  return "encode" in request
    ? engine.encode(request.encode, request.special)
    : engine.decode(request.decode, request.skipSpecial);
});

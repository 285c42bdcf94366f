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
  return "encode" in request
    ? engine.encode(request.encode, request.special)
    : engine.decode(request.decode, request.skipSpecial);
});

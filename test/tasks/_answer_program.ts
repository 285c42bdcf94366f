/** Shows an answer as it comes, with a warning in the middle and a bar that was left. */
import { endStatusLine, showStatusLine, writeError, writeOutput } from "../../lib/runtime/stdio.ts";

showStatusLine("loading");
await writeOutput("an answer ");
await writeOutput("as it");
showStatusLine("loading more");
writeError("a warning");
await writeOutput(" comes\n");
await writeOutput("next\n");
endStatusLine();

import { type Child, Markup, markup } from "./_markup.ts";
import { style } from "./_style.ts";

/** What a page has around its content. */
export interface PageOptions {
  /** Main heading, and the window's title. */
  readonly title: string;
  /** What came out, in one sentence, under the heading. Default none. */
  readonly lead?: string | undefined;
  /** What a reader must know first; shown above everything else but the lead. Default none. */
  readonly warnings?: readonly string[] | undefined;
  /** What stands in the page's main part. */
  readonly body: Child;
}

/**
 * A complete, self-contained HTML document: style inside, no script, nothing fetched. Its security policy forbids
 * both to whatever might get into it.
 */
export function page({ title, lead, warnings = [], body }: PageOptions): string {
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${new Markup(style)}</style>
</head>
<body>
<header>
<h1>${title}</h1>
${
    lead !== undefined && markup`<p class="lead">${lead}</p>
`
  }${warnings.length > 0 && warningBox(warnings)}
</header>
<main>
${body}
</main>
</body>
</html>
`.text;
}

function warningBox(warnings: readonly string[]): Markup {
  return markup`<div class="warnings" role="note" aria-labelledby="warnings">
<h2 id="warnings">${warnings.length === 1 ? "One warning" : `${warnings.length} warnings`}</h2>
<ul>${warnings.map((warning) => markup`<li>${warning}</li>\n`)}</ul></div>`;
}

/** A term, which way is good, and what it means in plain words. */
export interface Term {
  /** The name, as tables and plots write it. */
  readonly term: string;
  /** Which way is good; absent where neither is. */
  readonly better?: "higher" | "lower";
  /** One or two sentences without jargon. */
  readonly meaning: string;
}

/** A list that explains numbers to a newcomer. */
export function terms(list: readonly Term[]): Markup {
  return markup`<dl class="terms">${
    list.map(({ term, better, meaning }) => {
      const way = better &&
        markup` <span class="better">${better === "higher" ? "↑" : "↓"} ${better} is better</span>`;
      return markup`<div><dt>${term}${way}</dt><dd>${meaning}</dd></div>\n`;
    })
  }</dl>`;
}

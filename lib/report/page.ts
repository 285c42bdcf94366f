import { type Child, html, Markup } from "./_html.ts";
import { style } from "./_style.ts";

/** What a page has around its content. */
export interface PageOptions {
  /** Main heading, and the window's title. */
  readonly title: string;
  /** What a reader must know first; shown above everything else. Default none. */
  readonly warnings?: readonly string[];
  readonly body: Child;
}

/**
 * A complete, self-contained HTML document: style inside, no script, nothing fetched. Its security policy forbids
 * both to whatever might get into it.
 */
export function page({ title, warnings = [], body }: PageOptions): string {
  return html`
    <!doctype html>
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
    ${warnings.length > 0 && html`
      <div class="warnings" role="note" aria-labelledby="warnings">
        <h2 id="warnings">${warnings.length === 1 ? "One warning" : `${warnings.length} warnings`}</h2>
        <ul>${warnings.map((warning) => html`<li>${warning}</li>`)}</ul>
      </div>
    `}
        </header>
        <main>
    ${body}
        </main>
      </body>
    </html>
  `.text;
}

/** A term, which way is good, and what it means in plain words. */
export interface Term {
  readonly term: string;
  readonly better?: "higher" | "lower";
  readonly meaning: string;
}

/** A list that explains numbers to a newcomer. */
export function terms(list: readonly Term[]): Markup {
  return html`<dl class="terms">${
    list.map(({ term, better, meaning }) =>
      html`
        <div>
          <dt>${term} ${better !== undefined &&
            html`<span class="better">${better === "higher" ? "↑" : "↓"} ${better} is better</span>`}</dt>
          <dd>${meaning}</dd>
        </div>\\n
      `
    )
  }</dl>`;
}

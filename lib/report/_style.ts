/**
 * The style sheet of every page: light, dark and print by variables, one column to several by width. Blue and orange
 * are Okabe and Ito's, lightened or darkened to at least 3:1 against the paper (4.5:1 where they colour text).
 */
export const style = `
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1c2127; --muted: #5b6570; --hairline: #d9dee4; --panel: #f6f8fa;
  --right: #0068a8; --wrong: #b84a00; --best: #e3f0fa; --warn: #8a5a00; --warn-paper: #fff6e0;
  --series-1: #0068a8; --series-2: #c75400; --series-3: #00855f; --series-4: #a8488a; --series-5: #4a4f57;
  --series-6: #9a7400;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181c; --ink: #e4e8ec; --muted: #9ba6b2; --hairline: #333b44; --panel: #1b2127;
    --right: #62b8ee; --wrong: #f39a52; --best: #17354b; --warn: #f0c060; --warn-paper: #2c2412;
    --series-1: #62b8ee; --series-2: #f39a52; --series-3: #35c29a; --series-4: #dd8fc0; --series-5: #c3cad2;
    --series-6: #e0c34a;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 82rem; padding: 2rem 1.25rem 4rem;
  background: var(--paper); color: var(--ink); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", sans-serif;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 1.25rem; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 3rem 0 .5rem; padding-top: .8rem; border-top: 2px solid var(--ink); }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; overflow-wrap: anywhere; }
h4 { font-size: .8rem; margin: 0 0 .1rem; font-weight: 600; }
p { margin: .5rem 0; max-width: 68ch; }
p.lead { font-size: 1.08rem; }
small, .note, caption, figcaption { color: var(--muted); font-size: .86rem; line-height: 1.45; }
.note, figcaption { max-width: 75ch; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.empty { color: var(--muted); font-style: italic; font-size: .86rem; }
.warnings {
  border-left: 4px solid var(--warn); background: var(--warn-paper); padding: .7rem 1rem; margin: 0 0 1.5rem;
}
.warnings h2 { border: 0; margin: 0; padding: 0; font-size: 1rem; color: var(--warn); }
.warnings ul { margin: .3rem 0 0; padding-left: 1.2rem; overflow-wrap: anywhere; }
dl.about {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: .6rem 2rem; margin: 0;
}
dl.about dt { color: var(--muted); font-size: .8rem; }
dl.about dd { margin: 0; overflow-wrap: anywhere; }
dl.about .wide { grid-column: 1 / -1; }
dl.about .wide dd { font: .86rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
dl.terms { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); gap: .7rem 2rem; }
dl.terms { margin: 1rem 0; font-size: .9rem; line-height: 1.45; }
dl.terms dt { font-weight: 600; }
dl.terms dd { margin: 0; color: var(--muted); }
.better { color: var(--muted); font-weight: 400; font-size: .8rem; white-space: nowrap; }
.verdict { font-size: .8rem; font-weight: 600; white-space: nowrap; }
.scroll {
  overflow-x: auto; margin: 1rem 0; position: relative;
  background: linear-gradient(to left, var(--paper) 40%, transparent) right / 3rem 100% no-repeat local,
    linear-gradient(to left, var(--hairline), transparent) right / 1.1rem 100% no-repeat scroll, var(--paper);
}
.cue { display: none; }
@media (max-width: 48rem) { .cue { display: block; margin: 1rem 0 -.6rem; } }
@media print { .cue { display: none; } }
table { border-collapse: collapse; min-width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .6rem; }
caption span { display: block; position: sticky; left: 0; max-width: min(75ch, calc(100vw - 2.5rem)); }
th, td { padding: .45rem .7rem; text-align: left; border-bottom: 1px solid var(--hairline); }
thead th { vertical-align: bottom; font-size: .86rem; line-height: 1.3; border-bottom: 1.5px solid var(--ink); }
thead small { display: block; font-weight: 400; font-size: .76rem; }
th.number, td.number { text-align: right; }
tbody th { font-weight: 600; position: sticky; left: 0; background: var(--paper); }
tbody th { max-width: min(14rem, 40vw); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
th:first-child { padding-left: 0; }
td.best { background: var(--best); }
figure { margin: 0; min-width: 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1.5rem 2.5rem; }
.pair { margin-top: 1.5rem; }
.pair svg.plot, .example svg.plot { max-width: 36rem; }
.panels { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1rem 1.1rem; }
.panels svg.plot { max-width: 21rem; }
.example {
  display: grid; gap: .5rem 2.5rem; padding: 1.2rem 0; border-bottom: 1px solid var(--hairline); align-items: start;
}
@media (min-width: 36rem) { .panels { grid-template-columns: repeat(3, minmax(0, 1fr)); } }
@media (min-width: 52rem) { .example { grid-template-columns: minmax(0, 1fr) minmax(0, 1.2fr); } }
@media (min-width: 68rem) { .panels { grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); } }
svg.plot { display: block; width: 100%; height: auto; overflow: visible; }
svg.plot text { white-space: pre; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.3rem; list-style: none; padding: 0; margin: .6rem 0; font-size: .88rem; }
.legend svg { vertical-align: .05em; }
.right { color: var(--right); } .wrong { color: var(--wrong); } .unknown { color: var(--muted); }
.example > * { min-width: 0; }
.example h3 { margin: 0 0 .3rem; font-weight: 600; line-height: 1.45; unicode-bidi: isolate; white-space: pre-line; }
.text { white-space: pre-line; overflow-wrap: anywhere; unicode-bidi: isolate; margin: .15rem 0; }
.label { color: var(--muted); font-size: .8rem; margin: .5rem 0 0; }
details { grid-column: 1 / -1; }
summary { cursor: pointer; font-size: .9rem; color: var(--muted); padding: .2rem 0; }
summary:focus-visible, .scroll:focus-visible { outline: 2px solid var(--right); outline-offset: 2px; }
.candidates {
  list-style: none; margin: .5rem 0 0; padding: 0; display: grid; gap: .7rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr));
}
.candidates > li { background: var(--panel); border: 1px solid var(--hairline); border-radius: 6px; padding: .6rem .8rem; font-size: .9rem; }
.candidates .kind { font-weight: 600; margin: 0; }
.scores { display: flex; flex-wrap: wrap; gap: .1rem 1rem; list-style: none; padding: 0; margin: .3rem 0 0; }
.scores { color: var(--muted); font-size: .82rem; font-variant-numeric: tabular-nums; }
footer { margin-top: 3rem; color: var(--muted); font-size: .82rem; }
@media print {
  :root {
    color-scheme: light;
    --paper: #ffffff; --ink: #000000; --muted: #4a4f57; --hairline: #c5cad0; --panel: #ffffff;
    --right: #0068a8; --wrong: #b84a00; --best: #e3f0fa; --warn: #6b4500; --warn-paper: #ffffff;
    --series-1: #0068a8; --series-2: #c75400; --series-3: #00855f; --series-4: #a8488a; --series-5: #4a4f57;
    --series-6: #9a7400;
  }
  @page { margin: 14mm; }
  body { padding: 0; }
  section, .panels > *, .pair > *, .candidates > li, tr, .warnings { break-inside: avoid; }
  section { break-inside: auto; }
  h2, h3, h4 { break-after: avoid; }
  html { font-size: 10pt; }
  .scroll { overflow: visible; }
  table { font-size: 8pt; }
  thead th, thead small { font-size: 7.5pt; }
  th, td { padding: .3rem .4rem; }
  td.best { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  details::details-content { content-visibility: visible; display: block; }
}
`;
